#include "disk/erofs_writer.h"

#include <algorithm>
#include <cstring>

#include "base/fd.h"
#include "disk/erofs_checksum.h"
#include "disk/erofs_format.h"
#include "disk/erofs_layout.h"

namespace msb::disk {
namespace {

using erofs::kBlockSize;
using erofs::round_up;

// Large enough that the cost of a write(2) vanishes, small enough to stay in the cache.
constexpr size_t kBufferSize = 512 * 1024;
constexpr uint64_t kDeviceTableOffset = erofs::kSuperOffset + sizeof(erofs::SuperBlock);
static_assert(kDeviceTableOffset % sizeof(erofs::DeviceSlot) == 0);

}  // namespace

ErofsWriter::ErofsWriter(int fd, std::vector<ErofsDevice> devices)
    : fd_(fd),
      devices_(std::move(devices)),
      header_size_(round_up(kDeviceTableOffset + devices_.size() * sizeof(erofs::DeviceSlot), kBlockSize)),
      offset_(header_size_) {
  buffer_.reserve(kBufferSize);
}

Result<> ErofsWriter::flush() {
  if (buffer_.empty()) return {};
  MSB_CHECK_CTX(pwrite_full(fd_, buffer_, offset_ - buffer_.size()), "while writing an EROFS image");
  buffer_.clear();
  return {};
}

Result<> ErofsWriter::append(ByteView bytes) {
  while (!bytes.empty()) {
    if (buffer_.size() == kBufferSize) MSB_CHECK(flush());
    size_t count = std::min(bytes.size(), kBufferSize - buffer_.size());
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(count));
    offset_ += count;
    bytes = bytes.subspan(count);
  }
  return {};
}

Result<> ErofsWriter::append_zeros(uint64_t count) {
  if (buffer_.size() + count > kBufferSize) MSB_CHECK(flush());
  // A long run is left out, so a hole of the file. The image never ends with one: its last
  // bytes are metadata, whose padding is short.
  if (count <= kBufferSize) buffer_.resize(buffer_.size() + count);
  offset_ += count;
  return {};
}

Result<> ErofsWriter::pad() {
  return append_zeros(round_up(offset_, kBlockSize) - offset_);
}

Result<uint32_t> ErofsWriter::next_block() const {
  if (offset_ % kBlockSize != 0) return fail(ErrorKind::internal, "EROFS: file data must start on a block boundary");
  uint64_t block = offset_ / kBlockSize;
  if (block >= UINT32_MAX) return fail(ErrorKind::unsupported, "the file system is larger than 16 TiB");
  return static_cast<uint32_t>(block);
}

Result<ErofsSummary> ErofsWriter::finish(const ErofsTree& tree) {
  MSB_CHECK(pad());
  MSB_TRY(const uint32_t meta_block, next_block());
  ErofsLayout layout(tree);
  MSB_CHECK(layout.plan(meta_block));
  if (layout.nid(ErofsTree::kRoot) > UINT16_MAX) return fail(ErrorKind::internal, "EROFS: the root is not first");

  const uint64_t meta_start = offset_;
  Bytes scratch;
  for (InodeId id : layout.order()) {
    MSB_CHECK(append_zeros(meta_start + layout.position(id) - offset_));
    scratch.clear();
    layout.serialize_inode(id, scratch);
    MSB_CHECK(append(scratch));
  }
  MSB_CHECK(append_zeros(meta_start + layout.inode_area_size() - offset_));
  for (InodeId id : layout.with_blocks()) {
    scratch.clear();
    layout.serialize_blocks(id, scratch);
    MSB_CHECK(append(scratch));
  }
  if (offset_ != uint64_t{layout.end_block()} * kBlockSize) return fail(ErrorKind::internal, "EROFS: wrong layout");
  MSB_CHECK(flush());
  MSB_CHECK(write_header(meta_block, layout.end_block(), layout.order().size(),
                         static_cast<uint16_t>(layout.nid(ErofsTree::kRoot)), layout.uses_chunks()));
  return ErofsSummary{offset_, meta_block - header_size_ / kBlockSize, layout.order().size()};
}

Result<> ErofsWriter::write_header(uint32_t meta_block, uint32_t blocks, uint64_t inodes, uint16_t root_nid,
                                   bool chunks) {
  erofs::SuperBlock super{};
  super.magic = erofs::kMagic;
  super.feature_compat = erofs::kCompatChecksum | erofs::kCompatMtime;
  super.block_bits = erofs::kBlockBits;
  super.root_nid = root_nid;
  super.inodes = inodes;
  super.blocks = blocks;
  super.meta_block = meta_block;
  super.feature_incompat = chunks ? erofs::kIncompatChunkedFile : 0;
  if (!devices_.empty()) {
    super.feature_incompat |= erofs::kIncompatDeviceTable;
    super.extra_devices = static_cast<uint16_t>(devices_.size());
    super.device_slot = kDeviceTableOffset / sizeof(erofs::DeviceSlot);
  }
  Bytes header(header_size_);
  std::memcpy(header.data() + erofs::kSuperOffset, &super, sizeof(super));
  uint64_t mapped = blocks;
  for (size_t i = 0; i < devices_.size(); ++i) {
    erofs::DeviceSlot slot{};
    std::memcpy(slot.tag, devices_[i].tag.data(), std::min(devices_[i].tag.size(), sizeof(slot.tag)));
    slot.blocks = devices_[i].blocks;
    slot.mapped_block = static_cast<uint32_t>(mapped);
    mapped += slot.blocks;
    if (mapped >= UINT32_MAX) return fail(ErrorKind::unsupported, "the layers together are larger than 16 TiB");
    std::memcpy(header.data() + kDeviceTableOffset + i * sizeof(slot), &slot, sizeof(slot));
  }
  // The checksum covers the rest of the first block, with its own field zero.
  uint32_t crc = erofs_crc32c(ByteView(header).subspan(erofs::kSuperOffset, kBlockSize - erofs::kSuperOffset));
  store_le<uint32_t>(header.data() + erofs::kSuperOffset + offsetof(erofs::SuperBlock, checksum), crc);
  MSB_CHECK_CTX(pwrite_full(fd_, header, 0), "while writing an EROFS superblock");
  return {};
}

}  // namespace msb::disk
