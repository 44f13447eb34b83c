// What the superblock of an ext4, ext3 or ext2 file system says about its size. The guest's agent reads it too, so all
// of it is here.
#pragma once

#include <optional>

#include "base/bytes.h"

namespace msb {

// struct ext4_super_block (fs/ext4/ext4.h), little-endian.
inline constexpr uint64_t kExt4SuperOffset = 1024;
inline constexpr size_t kExt4SuperSize = 1024;

struct Ext4Size {
  uint64_t blocks = 0;
  uint64_t block_size = 0;
};

// Nothing when it is no superblock. `super` has kExt4SuperSize bytes.
inline std::optional<Ext4Size> read_ext4_size(ByteView super) {
  constexpr size_t kBlocksLow = 0x04, kLogBlockSize = 0x18, kMagicField = 0x38, kIncompatible = 0x60;
  constexpr size_t kBlocksHigh = 0x150;
  constexpr uint16_t kMagic = 0xef53;
  constexpr uint32_t kMaxLogBlockSize = 6;  // 64 KiB
  constexpr uint32_t k64Bit = 0x80;
  const uint32_t log_size = load_le<uint32_t>(&super[kLogBlockSize]);
  if (load_le<uint16_t>(&super[kMagicField]) != kMagic || log_size > kMaxLogBlockSize) return std::nullopt;
  Ext4Size size{load_le<uint32_t>(&super[kBlocksLow]), uint64_t{1024} << log_size};
  if (load_le<uint32_t>(&super[kIncompatible]) & k64Bit)
    size.blocks |= uint64_t{load_le<uint32_t>(&super[kBlocksHigh])} << 32;
  return size;
}

}  // namespace msb
