#include "net/packet/checksum.h"

#include <bit>

namespace msb::net {
namespace {

uint64_t sum_of(ByteView bytes) {
  uint64_t sum = 0;
  const uint8_t* at = bytes.data();
  size_t rest = bytes.size();
  for (; rest >= 4; rest -= 4, at += 4) {
    uint32_t word;
    std::memcpy(&word, at, 4);
    sum += word;
  }
  uint32_t last = 0;
  if (rest > 0) std::memcpy(&last, at, rest);
  return sum + last;
}

uint16_t fold(uint64_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

uint16_t swap(uint16_t value) {
  return static_cast<uint16_t>(value << 8 | value >> 8);
}

}  // namespace

void Checksum::add(ByteView bytes) {
  const uint64_t sum = sum_of(bytes);
  sum_ += odd_ ? swap(fold(sum)) : sum;
  odd_ ^= bytes.size() % 2 != 0;
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
  return std::endian::native == std::endian::big ? fold(sum_) : swap(fold(sum_));
}

}  // namespace msb::net
