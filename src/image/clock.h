// The time that goes into rows and archives.
#pragma once

#include <chrono>
#include <cstdint>

namespace msb::image {

inline int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace msb::image
