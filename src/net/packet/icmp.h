// ICMP of both families: echo, unreachable, and the neighbour discovery that IPv6 does with it (RFC 792, 4443, 4861).
// Builders return whole messages, checksum included.
#pragma once

#include <optional>

#include "net/packet/ip.h"
#include "net/tcp/tcp_engine.h"

namespace msb::net {

inline uint8_t icmp_protocol(Family family) {
  return family == Family::v4 ? uint8_t{kIcmp} : uint8_t{kIcmpV6};
}

struct EchoMessage {
  uint16_t id = 0;
  uint16_t sequence = 0;
  ByteView payload;
};

// A packet whose protocol is its family's ICMP and whose checksum is right; nothing otherwise.
bool icmp_is_whole(const IpPacket& packet);
std::optional<EchoMessage> parse_echo_request(const IpPacket& packet);
// The address that is asked for (RFC 4861, 4.3, and the checks of 7.1.1).
std::optional<Ip> parse_neighbour_solicitation(const IpPacket& packet);

// The packet of ours that an "unreachable" is about, if all of it is quoted, as all of a SYN is.
std::optional<IpPacket> parse_unreachable(const IpPacket& packet);

// `from` and `to` are those of the message that is built.
enum class EchoKind { request, reply };
Bytes make_echo(EchoKind kind, const Ip& from, const Ip& to, const EchoMessage& echo);
// "`target`, which is asked for, has this MAC"; of a router.
Bytes make_neighbour_advertisement(const Ip& from, const Ip& to, const Ip& target, const Mac& mac);
// `original` begins with the IP header of the packet that went nowhere; what is too much of it is left out.
Bytes make_unreachable(const Ip& from, const Ip& to, Unreachable why, ByteView original);

}  // namespace msb::net
