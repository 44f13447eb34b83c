#include "disk/ext4_size.h"

namespace msb::disk {
namespace {

// struct ext4_super_block (fs/ext4/ext4.h), little-endian, 1024 bytes into the file system.
constexpr uint64_t kSuperOffset = 1024;
constexpr size_t kSuperSize = 1024;
constexpr size_t kBlocksLow = 0x04, kLogBlockSize = 0x18, kMagicField = 0x38, kIncompatible = 0x60, kBlocksHigh = 0x150;
constexpr uint16_t kMagic = 0xef53;
constexpr uint32_t kMaxLogBlockSize = 6;  // 64 KiB
constexpr uint32_t k64Bit = 0x80;

}  // namespace

Result<> check_ext4_size(BlockDevice& disk) {
  if (!in_range(kSuperOffset, kSuperSize, disk.size())) return {};
  Bytes super(kSuperSize);
  MSB_CHECK(disk.read(kSuperOffset, super));
  uint32_t log_size = load_le<uint32_t>(&super[kLogBlockSize]);
  if (load_le<uint16_t>(&super[kMagicField]) != kMagic || log_size > kMaxLogBlockSize) return {};
  uint64_t blocks = load_le<uint32_t>(&super[kBlocksLow]);
  if (load_le<uint32_t>(&super[kIncompatible]) & k64Bit)
    blocks |= uint64_t{load_le<uint32_t>(&super[kBlocksHigh])} << 32;
  uint64_t block_size = uint64_t{1024} << log_size;
  if (blocks <= disk.size() / block_size) return {};
  return fail(Error(ErrorKind::corrupt, cat("the disk has ", disk.size(), " bytes, but the ext4 file system on it ",
                                            blocks, " blocks of ", block_size))
                  .hint("the file was cut short: copy or make it again"));
}

}  // namespace msb::disk
