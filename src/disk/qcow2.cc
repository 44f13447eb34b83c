#include "disk/qcow2.h"

#include <algorithm>

#include "disk/qcow2_compression.h"
#include "disk/raw_disk.h"

namespace msb::disk {
namespace {

tl::unexpected<Error> corrupt(std::string what) {
  return fail(ErrorKind::corrupt, cat("damaged qcow2 image: ", what));
}

Result<Qcow2Header> read_header(BlockDevice& file, Access access) {
  Bytes start(std::min<uint64_t>(file.size(), kQcow2HeaderBytes));
  MSB_CHECK(file.read(0, start));
  MSB_TRY(Qcow2Header header, parse_qcow2_header(start, file.size()));
  if (access == Access::read_write) MSB_CHECK(check_qcow2_writable(header, file.size()));
  return header;
}

Result<std::vector<uint64_t>> read_l1(BlockDevice& file, const Qcow2Header& header) {
  Bytes table(size_t{header.l1_entries} * 8);
  MSB_CHECK(file.read(header.l1_table_offset, table));
  std::vector<uint64_t> entries(header.l1_entries);
  for (size_t i = 0; i < entries.size(); ++i) {
    entries[i] = load_be<uint64_t>(&table[i * 8]);
    uint64_t offset = entries[i] & kQcow2OffsetMask;
    if (offset % header.cluster_size() != 0) return corrupt(cat("second-level table ", i, " is not aligned"));
    if (offset != 0 && !in_range(offset, header.cluster_size(), file.size()))
      return corrupt(cat("second-level table ", i, " lies beyond the end of the file"));
  }
  return entries;
}

}  // namespace

Result<Qcow2Header> inspect_qcow2(BlockDevice& file, Access access) {
  MSB_TRY(Qcow2Header header, read_header(file, access));
  MSB_CHECK(read_l1(file, header));
  return header;
}

Result<Qcow2Header> inspect_qcow2(const std::string& path, Access access) {
  MSB_TRY(auto file, RawDisk::open(path));
  auto header = inspect_qcow2(*file, access);
  if (!header) return fail(std::move(header).error().context(path));
  return header;
}

Result<std::unique_ptr<Qcow2Disk>> Qcow2Disk::open(const std::string& path, Access access) {
  MSB_TRY(auto file, RawDisk::open(path, access));
  auto disk = open(std::unique_ptr<BlockDevice>(std::move(file)), access);
  if (!disk) return fail(std::move(disk).error().context(path));
  return disk;
}

Result<std::unique_ptr<Qcow2Disk>> Qcow2Disk::open(std::unique_ptr<BlockDevice> file, Access access) {
  MSB_TRY(Qcow2Header header, read_header(*file, access));
  MSB_TRY(auto l1, read_l1(*file, header));
  std::unique_ptr<Qcow2Disk> disk(new Qcow2Disk(std::move(file), header, std::move(l1)));
  if (access == Access::read_write) {
    if (disk->file_->read_only())
      return fail(ErrorKind::invalid_config, "the file of a qcow2 image to be written cannot be written");
    MSB_TRY(disk->refcounts_, Qcow2Refcounts::open(*disk->file_, disk->header_, disk->l1_));
  }
  return disk;
}

Result<> Qcow2Disk::readv(uint64_t offset, Buffers out) {
  uint64_t length = total_bytes(out);
  MSB_CHECK(check_range("read", offset, length));
  BufferCursor cursor(out);
  while (length > 0) {
    uint64_t inside = offset % header_.cluster_size();
    uint64_t count = std::min(length, header_.cluster_size() - inside);
    piece_.clear();
    cursor.take(count, piece_);
    MSB_CHECK(read_in_cluster(offset / header_.cluster_size(), inside, piece_));
    offset += count;
    length -= count;
  }
  return {};
}

Qcow2Disk::Kind Qcow2Disk::kind_of(uint64_t entry) const {
  if (entry & kQcow2Compressed) return Kind::compressed;
  if (header_.version >= 3 && (entry & kQcow2ReadsAsZero)) return Kind::zero;
  return (entry & kQcow2OffsetMask) == 0 ? Kind::absent : Kind::plain;
}

Result<uint64_t> Qcow2Disk::l2_entry(uint64_t cluster) {
  // In range: the header's check made the first-level table cover the whole disk.
  uint64_t table = l1_[cluster / header_.l2_entries()] & kQcow2OffsetMask;
  if (table == 0) return 0;
  MSB_TRY(Qcow2Table * l2, l2_.load(table));
  return l2->entry(cluster % header_.l2_entries());
}

// Where the bytes of a cluster are that has a place of its own in the file.
Result<uint64_t> Qcow2Disk::data_offset(uint64_t entry, uint64_t cluster) const {
  uint64_t offset = entry & kQcow2OffsetMask;
  if (offset % header_.cluster_size() != 0) return corrupt(cat("cluster ", cluster, " is not aligned"));
  if (offset >= file_->size()) return corrupt(cat("cluster ", cluster, " lies beyond the end of the file"));
  return offset;
}

Result<> Qcow2Disk::read_in_cluster(uint64_t cluster, uint64_t inside, Buffers out) {
  MSB_TRY(uint64_t entry, l2_entry(cluster));
  switch (kind_of(entry)) {
    case Kind::absent:
    case Kind::zero:
      BufferCursor(out).put_zeros(total_bytes(out));
      return {};
    case Kind::compressed:
      MSB_CHECK(load_compressed(entry));
      BufferCursor(out).put(
          ByteView(unpacked_).subspan(static_cast<size_t>(inside), static_cast<size_t>(total_bytes(out))));
      return {};
    case Kind::plain:
      break;
  }
  MSB_TRY(uint64_t offset, data_offset(entry, cluster));
  return read_plain(offset + inside, out);
}

// The last cluster of a file may be cut short; what is missing is zeros.
Result<> Qcow2Disk::read_plain(uint64_t at, Buffers out) {
  uint64_t length = total_bytes(out);
  if (in_range(at, length, file_->size())) return file_->readv(at, out);
  uint64_t there = at < file_->size() ? file_->size() - at : 0;
  BufferCursor cursor(out);
  std::vector<iovec> start;
  cursor.take(there, start);
  cursor.put_zeros(length - there);
  return there == 0 ? Result<>() : file_->readv(at, start);
}

Result<Qcow2Disk::Packed> Qcow2Disk::packed_place(uint64_t entry) const {
  // The entry's low bits are a byte offset; above them, a count of further 512-byte sectors.
  uint32_t offset_bits = 62 - (header_.cluster_bits - 8);
  uint64_t offset = entry & ((uint64_t{1} << offset_bits) - 1);
  uint64_t sectors = ((entry & (kQcow2Compressed - 1)) >> offset_bits) + 1;
  if (offset >= file_->size()) return corrupt("a compressed cluster lies beyond the end of the file");
  return Packed{offset, sectors * 512 - offset % 512};
}

Result<> Qcow2Disk::load_compressed(uint64_t entry) {
  if (entry == unpacked_entry_) return {};
  MSB_TRY(Packed place, packed_place(entry));
  // The last sector may lie partly beyond the end.
  Bytes packed(static_cast<size_t>(std::min(place.length, file_->size() - place.offset)));
  MSB_CHECK(file_->read(place.offset, packed));
  unpacked_entry_ = 0;
  unpacked_.resize(header_.cluster_size());
  MSB_CHECK(unpack_qcow2_cluster(header_.compression, packed, unpacked_));
  unpacked_entry_ = entry;
  return {};
}

}  // namespace msb::disk
