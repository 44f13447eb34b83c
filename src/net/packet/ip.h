// IP packets of both families: their header as a value. IPv4 options and IPv6 extension headers are passed over; what
// they ask for (source routes, jumbograms) is not done.
#pragma once

#include <optional>

#include "net/address.h"

namespace msb::net {

enum IpProtocol : uint8_t { kIcmp = 1, kTcp = 6, kUdp = 17, kIcmpV6 = 58 };

struct IpHeader {
  Ip source;
  Ip destination;
  uint8_t protocol = 0;  // of the payload, after extension headers
  uint8_t hop_limit = 64;
  // Of fragments only; a whole packet has neither an offset nor more to come.
  uint32_t id = 0;
  uint16_t offset = 0;  // in bytes, a multiple of 8
  bool more = false;

  bool is_fragment() const { return offset != 0 || more; }
  // As written by write_ip(): an IPv6 fragment carries one more header.
  size_t size() const { return source.is_v4() ? 20 : is_fragment() ? 48 : 40; }
};

constexpr size_t kLargestIpHeader = 48;      // that write_ip() writes
constexpr size_t kLargestIpPayload = 65535;  // of a reassembled packet, and of IPv6

struct IpPacket {
  IpHeader header;
  ByteView payload;
};

// Nothing when it is malformed: lengths that disagree, a wrong checksum of the IPv4 header, too many extension headers.
std::optional<IpPacket> parse_ip(ByteView bytes);

// Passes over the IPv6 extension headers that the payload of a reassembled packet may begin with.
bool skip_extension_headers(IpPacket& packet);

// Writes header.size() bytes, for a payload of `payload_size`.
void write_ip(const IpHeader& header, size_t payload_size, uint8_t* out);

// Whether the checksum of a payload (TCP, UDP, ICMPv6; not ICMP of IPv4, which has no pseudo-header) is right.
bool transport_checksum_is_right(const IpPacket& packet);

}  // namespace msb::net
