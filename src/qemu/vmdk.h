// A VMDK descriptor that joins files into one read-only disk, the only concatenation every QEMU knows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace msb::qemu {

struct VmdkExtent {
  std::string file;   // as QEMU opens it, e.g. "/dev/fdset/2"; no double quote or newline
  uint64_t size = 0;  // bytes, a multiple of 512
};

std::string vmdk_descriptor(const std::vector<VmdkExtent>& extents);

}  // namespace msb::qemu
