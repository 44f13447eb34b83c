// For fuzz targets: makes the checksums of what look like headers of a tar right, or hardly any input would get past
// them.
#pragma once

#include <cstdio>
#include <cstring>

#include "base/bytes.h"
#include "image/layer_tar_fields.h"

namespace msb::image::testing {

// The tar begins at `start`.
inline Bytes mend_tar(ByteView input, size_t start) {
  Bytes bytes(input.begin(), input.end());
  for (size_t at = start; at + 512 <= bytes.size(); at += 512) {
    uint8_t* header = bytes.data() + at;
    if (std::memcmp(header + tar::kMagic.offset, "ustar", 5) != 0) continue;
    std::memset(header + tar::kChecksum.offset, ' ', tar::kChecksum.length);
    unsigned sum = 0;
    for (size_t i = 0; i < 512; ++i) sum += header[i];
    std::snprintf(reinterpret_cast<char*>(header) + tar::kChecksum.offset, 8, "%06o", sum);
  }
  return bytes;
}

}  // namespace msb::image::testing
