// Sequence numbers: they wrap, and are compared by how far one is from the other (RFC 9293, 3.4).
#pragma once

#include <cstdint>

namespace msb::net {

// How far `to` is ahead of `from`; negative when it is behind.
inline int32_t sequence_distance(uint32_t from, uint32_t to) {
  return static_cast<int32_t>(to - from);
}
inline uint32_t later_sequence(uint32_t a, uint32_t b) {
  return sequence_distance(a, b) > 0 ? b : a;
}

}  // namespace msb::net
