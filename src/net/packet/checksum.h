// The Internet checksum (RFC 1071), with the pseudo-header of TCP, UDP and ICMPv6.
//
//   Checksum sum;
//   sum.add_pseudo_header(from, to, kUdp, size);
//   sum.add(header), sum.add(payload);
//   store_be(field, sum.complement());
#pragma once

#include "net/address.h"

namespace msb::net {

class Checksum {
 public:
  void add(ByteView bytes);
  void add_pseudo_header(const Ip& source, const Ip& destination, uint8_t protocol, size_t size);
  // What stands in a checksum field that somebody else completes (NEEDS_CSUM).
  uint16_t folded() const;
  // What stands in a finished one. Over bytes that contain their own checksum it is 0 when they are whole.
  uint16_t complement() const { return static_cast<uint16_t>(~folded()); }

 private:
  uint64_t sum_ = 0;  // of 32-bit words as they lie in memory: the sum does not depend on the byte order
  bool odd_ = false;  // so many bytes so far: the next piece begins in the middle of a word
};

}  // namespace msb::net
