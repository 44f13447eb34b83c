// EROFS on disk: the structures and numbers we use, as of Linux 6.12 (fs/erofs/erofs_fs.h).
// docs/format/erofs-layer.md says which parts of the format our images use.
#pragma once

#include <bit>
#include <cstdint>

namespace msb::disk::erofs {

static_assert(std::endian::native == std::endian::little, "the structures below are copied as they are");

inline constexpr uint32_t kMagic = 0xE0F5E1E2;
inline constexpr uint64_t kSuperOffset = 1024;
inline constexpr uint32_t kBlockBits = 12;
inline constexpr uint32_t kBlockSize = 1u << kBlockBits;
inline constexpr uint32_t kSlotSize = 32;  // node ids count these
inline constexpr uint32_t kNameMax = 255;
inline constexpr uint32_t kSymlinkMax = 4095;
inline constexpr uint32_t kHole = UINT32_MAX;  // chunk address: reads as zeros

inline constexpr uint32_t kCompatChecksum = 0x1;
inline constexpr uint32_t kCompatMtime = 0x2;
inline constexpr uint32_t kIncompatChunkedFile = 0x4;
inline constexpr uint32_t kIncompatDeviceTable = 0x8;

struct SuperBlock {
  uint32_t magic;
  uint32_t checksum;
  uint32_t feature_compat;
  uint8_t block_bits;
  uint8_t extension_slots;
  uint16_t root_nid;
  uint64_t inodes;
  uint64_t build_time;
  uint32_t build_time_nsec;
  uint32_t blocks;
  uint32_t meta_block;
  uint32_t xattr_block;
  uint8_t uuid[16];
  uint8_t volume_name[16];
  uint32_t feature_incompat;
  uint16_t compression;
  uint16_t extra_devices;
  uint16_t device_slot;  // position of the device table, in slots of 128 bytes
  uint8_t directory_block_bits;
  uint8_t xattr_prefix_count;
  uint32_t xattr_prefix_start;
  uint64_t packed_nid;
  uint8_t reserved[24];
};
static_assert(sizeof(SuperBlock) == 128);

struct DeviceSlot {
  uint8_t tag[64];
  uint32_t blocks;
  uint32_t mapped_block;  // where the device starts when all are one flat device
  uint8_t reserved[56];
};
static_assert(sizeof(DeviceSlot) == 128);

// i_format: bit 0 is the inode's size, bits 1-3 the layout of its data.
enum class Layout : uint8_t { plain = 0, tail_inline = 2, chunks = 4 };

struct InodeCompact {
  uint16_t format;
  uint16_t xattr_count;
  uint16_t mode;
  uint16_t nlink;
  uint32_t size;
  uint32_t reserved;
  uint32_t u;
  uint32_t ino;
  uint16_t uid;
  uint16_t gid;
  uint32_t reserved2;
};
static_assert(sizeof(InodeCompact) == 32);

struct InodeExtended {
  uint16_t format;
  uint16_t xattr_count;  // 0, or 1 + (bytes of entries) / 4
  uint16_t mode;
  uint16_t reserved;
  uint64_t size;
  uint32_t u;  // first block, device number, or chunk format
  uint32_t ino;
  uint32_t uid;
  uint32_t gid;
  uint64_t mtime;
  uint32_t mtime_nsec;
  uint32_t nlink;
  uint8_t reserved2[16];
};
static_assert(sizeof(InodeExtended) == 64);

struct XattrHeader {
  uint32_t name_filter;
  uint8_t shared_count;
  uint8_t reserved[7];
};
static_assert(sizeof(XattrHeader) == 12);

struct XattrEntry {
  uint8_t name_length;
  uint8_t name_index;
  uint16_t value_size;
};
static_assert(sizeof(XattrEntry) == 4);

inline constexpr uint16_t kChunkBitsMask = 0x1f;  // chunk size = block size << these bits
inline constexpr uint16_t kChunkIndexes = 0x20;   // 8-byte entries instead of 4-byte ones

struct ChunkIndex {
  uint16_t advise;
  uint16_t device;
  uint32_t block;
};
static_assert(sizeof(ChunkIndex) == 8);

struct [[gnu::packed]] Dirent {
  uint64_t nid;
  uint16_t name_offset;
  uint8_t file_type;
  uint8_t reserved;
};
static_assert(sizeof(Dirent) == 12);

inline constexpr uint64_t round_up(uint64_t value, uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

// Device numbers in the kernel's "new" encoding: 12 bits major, 20 bits minor.
inline constexpr uint32_t encode_device(uint32_t major, uint32_t minor) {
  return (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
}
inline constexpr uint32_t device_major(uint32_t encoded) {
  return (encoded >> 8) & 0xfff;
}
inline constexpr uint32_t device_minor(uint32_t encoded) {
  return (encoded & 0xff) | ((encoded >> 12) & 0xfff00);
}

}  // namespace msb::disk::erofs
