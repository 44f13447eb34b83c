// Initramfs images: uncompressed "newc" archives. The bytes depend on the entries only.
// Format: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace msb {

struct CpioEntry {
  std::string_view name;  // without a slash in front; directories before what is in them
  unsigned mode = 0;      // with the file type
  std::string_view data = {};
  unsigned device_major = 0, device_minor = 0;
};

std::string make_cpio(std::span<const CpioEntry> entries);

}  // namespace msb
