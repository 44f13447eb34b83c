#include "net/packet/icmp.h"

#include <algorithm>

#include "net/packet/checksum.h"

namespace msb::net {
namespace {

constexpr size_t kHeaderSize = 8;
enum Type : uint8_t {
  kEchoReplyV4 = 0,
  kUnreachableV4 = 3,
  kEchoRequestV4 = 8,
  kUnreachableV6 = 1,
  kEchoRequestV6 = 128,
  kEchoReplyV6 = 129,
  kNeighbourSolicitation = 135,
  kNeighbourAdvertisement = 136,
};

constexpr uint8_t kTooBigV4 = 4;  // a code of kUnreachableV4, about something else

uint8_t unreachable_code(Family family, Unreachable why) {
  switch (why) {
    case Unreachable::network:
      return 0;
    case Unreachable::host:
      return family == Family::v4 ? 1 : 3;
    case Unreachable::port:
      return family == Family::v4 ? 3 : 4;
    case Unreachable::prohibited:
      return family == Family::v4 ? 13 : 1;
  }
  return 0;
}

void finish(const Ip& from, const Ip& to, Bytes& message) {
  Checksum sum;
  if (!from.is_v4()) sum.add_pseudo_header(from, to, kIcmpV6, message.size());
  sum.add(message);
  store_be(&message[2], sum.complement());
}

}  // namespace

bool icmp_is_whole(const IpPacket& packet) {
  if (packet.header.protocol != icmp_protocol(packet.header.source.family()) || packet.payload.size() < kHeaderSize)
    return false;
  if (!packet.header.source.is_v4()) return transport_checksum_is_right(packet);
  Checksum sum;
  sum.add(packet.payload);
  return sum.complement() == 0;
}

std::optional<EchoMessage> parse_echo_request(const IpPacket& packet) {
  const ByteView bytes = packet.payload;
  const uint8_t type = packet.header.source.is_v4() ? kEchoRequestV4 : kEchoRequestV6;
  if (bytes.size() < kHeaderSize || bytes[0] != type || bytes[1] != 0) return std::nullopt;
  return EchoMessage{load_be<uint16_t>(&bytes[4]), load_be<uint16_t>(&bytes[6]), bytes.subspan(kHeaderSize)};
}

std::optional<Ip> parse_neighbour_solicitation(const IpPacket& packet) {
  const ByteView bytes = packet.payload;
  if (packet.header.source.is_v4() || packet.header.hop_limit != 255 || bytes.size() < 24) return std::nullopt;
  if (bytes[0] != kNeighbourSolicitation || bytes[1] != 0) return std::nullopt;
  return Ip::from_bytes(bytes.subspan(8, 16));
}

std::optional<IpPacket> parse_unreachable(const IpPacket& packet) {
  const ByteView bytes = packet.payload;
  const bool is_v4 = packet.header.source.is_v4();
  if (bytes.size() < kHeaderSize || bytes[0] != (is_v4 ? kUnreachableV4 : kUnreachableV6)) return std::nullopt;
  if (is_v4 && bytes[1] == kTooBigV4) return std::nullopt;
  return parse_ip(bytes.subspan(kHeaderSize));
}

Bytes make_echo(EchoKind kind, const Ip& from, const Ip& to, const EchoMessage& echo) {
  Bytes message(kHeaderSize);
  message[0] = kind == EchoKind::reply ? (from.is_v4() ? kEchoReplyV4 : kEchoReplyV6)
                                       : (from.is_v4() ? kEchoRequestV4 : kEchoRequestV6);
  store_be(&message[4], echo.id);
  store_be(&message[6], echo.sequence);
  message.insert(message.end(), echo.payload.begin(), echo.payload.end());
  finish(from, to, message);
  return message;
}

Bytes make_neighbour_advertisement(const Ip& from, const Ip& to, const Ip& target, const Mac& mac) {
  Bytes message(32);
  message[0] = kNeighbourAdvertisement;
  message[4] = 0xe0;  // router, solicited, override
  std::ranges::copy(target.bytes(), &message[8]);
  message[24] = 2;  // option: target link-layer address, of 1 × 8 bytes
  message[25] = 1;
  std::ranges::copy(mac.bytes, &message[26]);
  finish(from, to, message);
  return message;
}

Bytes make_unreachable(const Ip& from, const Ip& to, Unreachable why, ByteView original) {
  // RFC 1812, 4.3.2.3 and RFC 4443, 2.4 (c): as much as fits the smallest MTU of the family.
  const size_t most = (from.is_v4() ? 576 - 20 : 1280 - 40) - kHeaderSize;
  const ByteView kept = original.first(std::min(most, original.size()));
  Bytes message(kHeaderSize);
  message[0] = from.is_v4() ? kUnreachableV4 : kUnreachableV6;
  message[1] = unreachable_code(from.family(), why);
  message.insert(message.end(), kept.begin(), kept.end());
  finish(from, to, message);
  return message;
}

}  // namespace msb::net
