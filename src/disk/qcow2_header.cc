#include "disk/qcow2_header.h"

#include "disk/block_device.h"

namespace msb::disk {
namespace {

constexpr uint32_t kMagic = 0x514649fb;  // "QFI\xfb"
constexpr size_t kVersion2Length = 72;
constexpr size_t kVersion3Length = 104;
constexpr uint64_t kMaxVirtualSize = uint64_t{1} << 46;  // 64 TiB
// 32 MiB of L1 table, which is QEMU's limit too.
constexpr uint64_t kMaxL1Entries = (uint64_t{32} << 20) / 8;

enum IncompatibleBit : uint64_t {
  kDirty = 1,  // reference counts may be stale; they do not matter for reading
  kCorrupt = 2,
  kExternalData = 4,
  kCompressionType = 8,
  kExtendedL2 = 16,
};
constexpr uint64_t kReadable = kDirty | kCompressionType;

enum ExtensionType : uint32_t {
  kEnd = 0,
  kEncryption = 0x0537be77,
  kExternalDataName = 0x44415441,
};

tl::unexpected<Error> corrupt(std::string what) {
  return fail(ErrorKind::corrupt, cat("this is not a sound qcow2 image: ", what));
}
tl::unexpected<Error> refused(std::string what) {
  return fail(Error(ErrorKind::unsupported, cat("a qcow2 image ", what, " is not accepted"))
                  .hint("make a self-contained one: qemu-img convert -O qcow2 OLD NEW"));
}

Result<> check_features(uint64_t incompatible) {
  if (incompatible & kCorrupt)
    return fail(
        Error(ErrorKind::corrupt, "the qcow2 image is marked corrupt").hint("repair it: qemu-img check -r all IMAGE"));
  if (incompatible & kExternalData) return refused("with an external data file");
  if (incompatible & kExtendedL2) return refused("with extended L2 entries (subclusters)");
  if (incompatible & ~kReadable)
    return refused(cat("with unknown incompatible features (", incompatible & ~kReadable, ")"));
  return {};
}

// Extensions lie between the header and the end of the first cluster.
Result<> check_extensions(ByteView area) {
  ByteReader reader(area);
  while (reader.remaining() >= 8) {
    uint32_t type = *reader.be<uint32_t>();
    uint32_t length = *reader.be<uint32_t>();
    if (type == kEnd) return {};
    if (type == kEncryption) return refused("with encryption");
    if (type == kExternalDataName) return refused("with an external data file");
    // One that ends beyond what we look at hides nothing: features that matter have a bit in the header too.
    if (!reader.take((uint64_t{length} + 7) & ~uint64_t{7})) return {};
  }
  return {};
}

Result<> check_geometry(const Qcow2Header& header, uint64_t file_size) {
  if (header.cluster_bits < 9 || header.cluster_bits > 21) return corrupt(cat("cluster bits ", header.cluster_bits));
  if (header.virtual_size > kMaxVirtualSize) return corrupt(cat("a disk of ", header.virtual_size, " bytes"));
  uint64_t covered_by_l1 = header.cluster_size() * header.l2_entries();
  uint64_t needed = (header.virtual_size + covered_by_l1 - 1) / covered_by_l1;
  if (header.l1_entries > kMaxL1Entries || needed > kMaxL1Entries) return corrupt("its first-level table is too big");
  if (needed > header.l1_entries) return corrupt("its first-level table is too small for the disk");
  if (header.l1_table_offset % header.cluster_size() != 0) return corrupt("its first-level table is not aligned");
  if (!in_range(header.l1_table_offset, uint64_t{header.l1_entries} * 8, file_size))
    return corrupt("the file is shorter than its header says");
  return {};
}

}  // namespace

Result<Qcow2Header> parse_qcow2_header(ByteView start, uint64_t file_size) {
  if (start.size() < kVersion2Length || load_be<uint32_t>(start.data()) != kMagic)
    return corrupt("it does not begin with a qcow2 header");
  const uint8_t* at = start.data();
  Qcow2Header header;
  header.version = load_be<uint32_t>(at + 4);
  header.cluster_bits = load_be<uint32_t>(at + 20);
  header.virtual_size = load_be<uint64_t>(at + 24);
  header.l1_entries = load_be<uint32_t>(at + 36);
  header.l1_table_offset = load_be<uint64_t>(at + 40);
  header.refcount_table_offset = load_be<uint64_t>(at + kQcow2RefcountTableField);
  header.refcount_table_clusters = load_be<uint32_t>(at + kQcow2RefcountTableField + 8);
  header.snapshots = load_be<uint32_t>(at + 60);
  if (header.version != 2 && header.version != 3) return refused(cat("of version ", header.version));
  if (load_be<uint64_t>(at + 8) != 0) return refused("with a backing file");
  if (load_be<uint32_t>(at + 32) != 0) return refused("with encryption");
  uint32_t length = kVersion2Length;
  if (header.version == 3) {
    if (start.size() < kVersion3Length) return corrupt("its header is cut short");
    header.incompatible_features = load_be<uint64_t>(at + 72);
    MSB_CHECK(check_features(header.incompatible_features));
    header.autoclear_features = load_be<uint64_t>(at + kQcow2AutoclearField);
    header.refcount_order = load_be<uint32_t>(at + 96);
    length = load_be<uint32_t>(at + 100);
    if (length < kVersion3Length || length > start.size()) return corrupt(cat("a header of ", length, " bytes"));
    uint8_t compression = length > kVersion3Length ? at[kVersion3Length] : 0;
    if (compression > 1) return refused(cat("with compression method ", static_cast<unsigned>(compression)));
    header.compression = compression == 1 ? Qcow2Compression::zstd : Qcow2Compression::zlib;
  }
  MSB_CHECK(check_geometry(header, file_size));
  uint64_t area_end = std::min<uint64_t>(start.size(), header.cluster_size());
  if (length < area_end) MSB_CHECK(check_extensions(start.subspan(length, area_end - length)));
  return header;
}

Result<> check_qcow2_writable(const Qcow2Header& header, uint64_t file_size) {
  if (header.incompatible_features & kDirty)
    return fail(Error(ErrorKind::unsupported, "the qcow2 image was not closed properly: its reference counts are stale")
                    .hint("repair it: qemu-img check -r all IMAGE"));
  if (header.snapshots != 0) return refused("with internal snapshots, to be written,");
  if (header.refcount_order > 6) return corrupt(cat("reference counts of 2^", header.refcount_order, " bits"));
  uint64_t bytes = header.refcount_table_clusters * header.cluster_size();
  if (bytes == 0 || bytes > kQcow2MaxRefcountTable) return corrupt(cat("a reference count table of ", bytes, " bytes"));
  if (header.refcount_table_offset % header.cluster_size() != 0 ||
      !in_range(header.refcount_table_offset, bytes, file_size))
    return corrupt("its reference count table is not where it can be");
  return {};
}

}  // namespace msb::disk
