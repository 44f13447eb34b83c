// UDP: the header of each datagram.
#pragma once

#include <optional>

#include "net/packet/ip.h"

namespace msb::net {

struct UdpPacket {
  static constexpr size_t kHeaderSize = 8;
  static constexpr size_t kChecksumOffset = 6;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  ByteView payload;
};

// Of the payload of an IP packet; bytes after the datagram are left out.
std::optional<UdpPacket> parse_udp(ByteView bytes);
// A checksum of zero is none at all, which IPv4 allows.
bool udp_checksum_is_right(const IpPacket& packet);

// The header, with a finished checksum.
void write_udp(const Endpoint& from, const Endpoint& to, ByteView payload, uint8_t* out);

}  // namespace msb::net
