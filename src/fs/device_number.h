// Device numbers as FUSE sends them: the kernel's 32-bit encoding (include/linux/kdev_t.h, new_encode_dev).
#pragma once

#include <sys/sysmacros.h>

#include <cstdint>

namespace msb::fs {

inline uint32_t encode_device(uint64_t device) {
  const uint32_t high = major(device), low = minor(device);
  return (low & 0xff) | high << 8 | (low & ~0xffu) << 12;
}

inline uint64_t decode_device(uint32_t encoded) {
  return makedev((encoded & 0xfff00) >> 8, (encoded & 0xff) | ((encoded >> 12) & 0xfff00));
}

}  // namespace msb::fs
