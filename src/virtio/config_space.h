// The rule every device's read_config() follows: bytes beyond the configuration space read as 0.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/bytes.h"

namespace msb::virtio {

inline void copy_config(ByteView config, uint32_t offset, MutableByteView out) {
  std::ranges::fill(out, 0);
  if (offset >= config.size()) return;
  std::ranges::copy(config.subspan(offset).first(std::min(out.size(), config.size() - offset)), out.begin());
}

}  // namespace msb::virtio
