#include "disk/qcow2.h"

#include <algorithm>

#include "disk/qcow2_compression.h"

namespace msb::disk {
namespace {

constexpr uint64_t kOffsetMask = 0x00fffffffffffe00;  // bits 9 to 55 of table entries
constexpr uint64_t kCompressed = uint64_t{1} << 62;
constexpr uint64_t kReadsAsZero = 1;  // version 3 only; reserved before

tl::unexpected<Error> corrupt(std::string what) {
  return fail(ErrorKind::corrupt, cat("damaged qcow2 image: ", what));
}

Result<Qcow2Header> read_header(BlockDevice& file) {
  Bytes start(std::min<uint64_t>(file.size(), kQcow2HeaderBytes));
  MSB_CHECK(file.read(0, start));
  return parse_qcow2_header(start, file.size());
}

Result<std::vector<uint64_t>> read_l1(BlockDevice& file, const Qcow2Header& header) {
  Bytes table(size_t{header.l1_entries} * 8);
  MSB_CHECK(file.read(header.l1_table_offset, table));
  std::vector<uint64_t> offsets(header.l1_entries);
  for (size_t i = 0; i < offsets.size(); ++i) {
    uint64_t offset = load_be<uint64_t>(&table[i * 8]) & kOffsetMask;
    if (offset % header.cluster_size() != 0) return corrupt(cat("second-level table ", i, " is not aligned"));
    if (offset != 0 && !in_range(offset, header.cluster_size(), file.size()))
      return corrupt(cat("second-level table ", i, " lies beyond the end of the file"));
    offsets[i] = offset;
  }
  return offsets;
}

}  // namespace

Result<Qcow2Header> inspect_qcow2(BlockDevice& file) {
  MSB_TRY(Qcow2Header header, read_header(file));
  MSB_CHECK(read_l1(file, header));
  return header;
}

Result<Qcow2Header> inspect_qcow2(const std::string& path) {
  MSB_TRY(auto file, RawDisk::open(path));
  auto header = inspect_qcow2(*file);
  if (!header) return fail(std::move(header).error().context(path));
  return header;
}

Result<std::unique_ptr<Qcow2Disk>> Qcow2Disk::open(const std::string& path) {
  MSB_TRY(auto file, RawDisk::open(path));
  auto disk = open(std::unique_ptr<BlockDevice>(std::move(file)));
  if (!disk) return fail(std::move(disk).error().context(path));
  return disk;
}

Result<std::unique_ptr<Qcow2Disk>> Qcow2Disk::open(std::unique_ptr<BlockDevice> file) {
  MSB_TRY(Qcow2Header header, read_header(*file));
  MSB_TRY(auto l1, read_l1(*file, header));
  return std::unique_ptr<Qcow2Disk>(new Qcow2Disk(std::move(file), header, std::move(l1)));
}

Result<> Qcow2Disk::read(uint64_t offset, MutableByteView out) {
  if (!in_range(offset, out.size(), header_.virtual_size))
    return fail(ErrorKind::invalid_config,
                cat("read of ", out.size(), " bytes at ", offset, " of a disk of ", header_.virtual_size, " bytes"));
  while (!out.empty()) {
    uint64_t inside = offset % header_.cluster_size();
    size_t count = static_cast<size_t>(std::min<uint64_t>(out.size(), header_.cluster_size() - inside));
    MSB_CHECK(read_in_cluster(offset / header_.cluster_size(), inside, out.first(count)));
    out = out.subspan(count);
    offset += count;
  }
  return {};
}

Result<uint64_t> Qcow2Disk::l2_entry(uint64_t cluster) {
  // In range: the header's check made the first-level table cover the whole disk.
  uint64_t table = l1_[cluster / header_.l2_entries()];
  if (table == 0) return 0;
  if (table != l2_offset_) {
    l2_offset_ = 0;
    l2_.resize(header_.cluster_size());
    MSB_CHECK(file_->read(table, l2_));
    l2_offset_ = table;
  }
  return load_be<uint64_t>(&l2_[(cluster % header_.l2_entries()) * 8]);
}

Result<> Qcow2Disk::read_in_cluster(uint64_t cluster, uint64_t inside, MutableByteView out) {
  MSB_TRY(uint64_t entry, l2_entry(cluster));
  if (entry & kCompressed) {
    MSB_CHECK(load_compressed(entry));
    std::copy_n(unpacked_.begin() + static_cast<ptrdiff_t>(inside), out.size(), out.begin());
    return {};
  }
  uint64_t offset = entry & kOffsetMask;
  if (offset == 0 || (header_.version >= 3 && (entry & kReadsAsZero))) {
    std::fill(out.begin(), out.end(), uint8_t{0});
    return {};
  }
  if (offset % header_.cluster_size() != 0) return corrupt(cat("cluster ", cluster, " is not aligned"));
  if (offset >= file_->size()) return corrupt(cat("cluster ", cluster, " lies beyond the end of the file"));
  return read_plain(offset + inside, out);
}

// The last cluster of a file may be cut short; what is missing is zeros.
Result<> Qcow2Disk::read_plain(uint64_t at, MutableByteView out) {
  uint64_t there = at < file_->size() ? std::min<uint64_t>(out.size(), file_->size() - at) : 0;
  std::fill(out.begin() + static_cast<ptrdiff_t>(there), out.end(), uint8_t{0});
  return there == 0 ? Result<>() : file_->read(at, out.first(static_cast<size_t>(there)));
}

Result<> Qcow2Disk::load_compressed(uint64_t entry) {
  if (entry == unpacked_entry_) return {};
  // The entry's low bits are a byte offset; above them, a count of further 512-byte sectors.
  uint32_t offset_bits = 62 - (header_.cluster_bits - 8);
  uint64_t offset = entry & ((uint64_t{1} << offset_bits) - 1);
  uint64_t sectors = ((entry & (kCompressed - 1)) >> offset_bits) + 1;
  if (offset >= file_->size()) return corrupt("a compressed cluster lies beyond the end of the file");
  // The last sector may lie partly beyond the end.
  uint64_t length = std::min(sectors * 512 - offset % 512, file_->size() - offset);
  Bytes packed(static_cast<size_t>(length));
  MSB_CHECK(file_->read(offset, packed));
  unpacked_entry_ = 0;
  unpacked_.resize(header_.cluster_size());
  MSB_CHECK(unpack_qcow2_cluster(header_.compression, packed, unpacked_));
  unpacked_entry_ = entry;
  return {};
}

}  // namespace msb::disk
