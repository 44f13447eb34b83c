#include "net/tcp/keyed_hash.h"

#include <sys/random.h>

#include <algorithm>
#include <bit>

namespace msb::net {
namespace {

struct State {
  uint64_t v0, v1, v2, v3;
  void round() {
    v0 += v1, v1 = std::rotl(v1, 13), v1 ^= v0, v0 = std::rotl(v0, 32);
    v2 += v3, v3 = std::rotl(v3, 16), v3 ^= v2;
    v0 += v3, v3 = std::rotl(v3, 21), v3 ^= v0;
    v2 += v1, v1 = std::rotl(v1, 17), v1 ^= v2, v2 = std::rotl(v2, 32);
  }
  void take(uint64_t word) {
    v3 ^= word;
    round(), round();
    v0 ^= word;
  }
};

}  // namespace

KeyedHash KeyedHash::random() {
  uint64_t key[2] = {};
  // Not interrupted and never short for so few bytes, once the host has booted.
  (void)!::getrandom(key, sizeof(key), 0);
  return {key[0], key[1]};
}

uint64_t KeyedHash::operator()(ByteView bytes) const {
  State state{key0_ ^ 0x736f6d6570736575, key1_ ^ 0x646f72616e646f6d, key0_ ^ 0x6c7967656e657261,
              key1_ ^ 0x7465646279746573};
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) state.take(load_le<uint64_t>(&bytes[at]));
  uint64_t last = uint64_t{bytes.size()} << 56;
  for (size_t i = 0; at + i < bytes.size(); ++i) last |= uint64_t{bytes[at + i]} << (8 * i);
  state.take(last);
  state.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

size_t KeyedHash::operator()(const TcpEnds& ends) const {
  std::array<uint8_t, 36> bytes;
  auto at = std::ranges::copy(ends.guest.ip.bytes(), bytes.begin()).out;
  at = std::ranges::copy(ends.remote.ip.bytes(), at).out;
  store_be(&*at, ends.guest.port);
  store_be(&*at + 2, ends.remote.port);
  return (*this)(ByteView(bytes.data(), static_cast<size_t>(at - bytes.begin()) + 4));
}

}  // namespace msb::net
