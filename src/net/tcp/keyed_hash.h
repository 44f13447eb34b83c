// KeyedHash: SipHash-2-4 with a key of its own, for what a guest must not foresee: initial sequence numbers, and where
// a connection of its choice lies in a hash table.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "net/tcp/tcp_link.h"

namespace msb::net {

class KeyedHash {
 public:
  KeyedHash(uint64_t key0, uint64_t key1) : key0_(key0), key1_(key1) {}
  static KeyedHash random();  // a key from getrandom()

  uint64_t operator()(ByteView bytes) const;
  size_t operator()(const TcpEnds& ends) const;

 private:
  uint64_t key0_;
  uint64_t key1_;
};

}  // namespace msb::net
