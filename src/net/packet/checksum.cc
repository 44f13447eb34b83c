#include "net/packet/checksum.h"

#include <bit>

namespace msb::net {

void Checksum::add(ByteView bytes) {
  const uint8_t* at = bytes.data();
  size_t rest = bytes.size();
  for (; rest >= 4; rest -= 4, at += 4) {
    uint32_t word;
    std::memcpy(&word, at, 4);
    sum_ += word;
  }
  if (rest == 0) return;
  uint32_t last = 0;
  std::memcpy(&last, at, rest);
  sum_ += last;
}

void Checksum::add_pseudo_header(const Ip& source, const Ip& destination, uint8_t protocol, size_t size) {
  add(source.bytes());
  add(destination.bytes());
  uint8_t tail[8] = {};
  store_be(tail, static_cast<uint32_t>(size));
  tail[7] = protocol;
  add(tail);
}

uint16_t Checksum::folded() const {
  uint64_t sum = sum_;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  const auto folded = static_cast<uint16_t>(sum);
  if constexpr (std::endian::native == std::endian::big) return folded;
  return static_cast<uint16_t>(folded << 8 | folded >> 8);
}

}  // namespace msb::net
