#include "net/packet/ip.h"

#include <algorithm>

#include "net/packet/checksum.h"

namespace msb::net {
namespace {

constexpr size_t kV4Size = 20;
constexpr size_t kV6Size = 40;
// RFC 8200 asks for no limit; no system sends more than four.
constexpr int kMostExtensionHeaders = 8;
enum ExtensionHeader : uint8_t { kHopByHop = 0, kRouting = 43, kFragment = 44, kDestinationOptions = 60 };

bool parse_v4(ByteView bytes, IpPacket& packet) {
  if (bytes.size() < kV4Size) return false;
  const size_t header_size = size_t{bytes[0] & 0xfu} * 4;
  const size_t total = load_be<uint16_t>(&bytes[2]);
  if (header_size < kV4Size || total < header_size || total > bytes.size()) return false;
  Checksum sum;
  sum.add(bytes.first(header_size));
  if (sum.complement() != 0) return false;
  const auto fragment = load_be<uint16_t>(&bytes[6]);
  packet.header.id = load_be<uint16_t>(&bytes[4]);
  packet.header.more = fragment & 0x2000;
  packet.header.offset = static_cast<uint16_t>((fragment & 0x1fff) * 8);
  packet.header.hop_limit = bytes[8];
  packet.header.protocol = bytes[9];
  packet.header.source = Ip::from_bytes(bytes.subspan(12, 4));
  packet.header.destination = Ip::from_bytes(bytes.subspan(16, 4));
  packet.payload = bytes.subspan(header_size, total - header_size);
  return true;
}

bool parse_v6(ByteView bytes, IpPacket& packet) {
  if (bytes.size() < kV6Size) return false;
  const size_t payload_size = load_be<uint16_t>(&bytes[4]);
  if (payload_size > bytes.size() - kV6Size) return false;
  packet.header.protocol = bytes[6];
  packet.header.hop_limit = bytes[7];
  packet.header.source = Ip::from_bytes(bytes.subspan(8, 16));
  packet.header.destination = Ip::from_bytes(bytes.subspan(24, 16));
  packet.payload = bytes.subspan(kV6Size, payload_size);
  return skip_extension_headers(packet);
}

}  // namespace

std::optional<IpPacket> parse_ip(ByteView bytes) {
  if (bytes.empty()) return std::nullopt;
  IpPacket packet;
  const int version = bytes[0] >> 4;
  const bool good = version == 4 ? parse_v4(bytes, packet) : version == 6 && parse_v6(bytes, packet);
  return good ? std::optional(packet) : std::nullopt;
}

bool skip_extension_headers(IpPacket& packet) {
  if (packet.header.source.is_v4()) return true;
  for (int count = 0; count <= kMostExtensionHeaders; ++count) {
    const uint8_t type = packet.header.protocol;
    const bool is_fragment_header = type == kFragment;
    if (!is_fragment_header && type != kHopByHop && type != kRouting && type != kDestinationOptions) return true;
    const ByteView rest = packet.payload;
    if (rest.size() < 8) return false;
    const size_t size = is_fragment_header ? 8 : (size_t{rest[1]} + 1) * 8;
    if (size > rest.size()) return false;
    if (type == kRouting && rest[3] != 0) return false;  // segments left: this is no router
    packet.header.protocol = rest[0];
    packet.payload = rest.subspan(size);
    if (!is_fragment_header) continue;
    if (packet.header.is_fragment()) return false;  // a fragment of a fragment
    const auto fragment = load_be<uint16_t>(&rest[2]);
    packet.header.id = load_be<uint32_t>(&rest[4]);
    packet.header.offset = fragment & 0xfff8;
    packet.header.more = fragment & 1;
    // What follows is a piece of something: it has headers only at its start, and they are read when it is whole.
    if (packet.header.is_fragment()) return true;
  }
  return false;
}

void write_ip(const IpHeader& header, size_t payload_size, uint8_t* out) {
  if (header.source.is_v4()) {
    std::fill_n(out, kV4Size, uint8_t{0});
    out[0] = 0x45;
    store_be(out + 2, static_cast<uint16_t>(kV4Size + payload_size));
    store_be(out + 4, static_cast<uint16_t>(header.id));
    const int flags = header.is_fragment() ? (header.more ? 0x2000 : 0) : 0x4000;  // else: don't fragment
    store_be(out + 6, static_cast<uint16_t>(flags | header.offset / 8));
    out[8] = header.hop_limit;
    out[9] = header.protocol;
    std::ranges::copy(header.source.bytes(), out + 12);
    std::ranges::copy(header.destination.bytes(), out + 16);
    Checksum sum;
    sum.add({out, kV4Size});
    store_be(out + 10, sum.complement());
    return;
  }
  const bool fragment = header.is_fragment();
  store_be(out, uint32_t{6} << 28);
  store_be(out + 4, static_cast<uint16_t>(payload_size + (fragment ? 8 : 0)));
  out[6] = fragment ? uint8_t{kFragment} : header.protocol;
  out[7] = header.hop_limit;
  std::ranges::copy(header.source.bytes(), out + 8);
  std::ranges::copy(header.destination.bytes(), out + 24);
  if (!fragment) return;
  out[40] = header.protocol;
  out[41] = 0;
  store_be(out + 42, static_cast<uint16_t>(header.offset | (header.more ? 1 : 0)));
  store_be(out + 44, header.id);
}

bool transport_checksum_is_right(const IpPacket& packet) {
  Checksum sum;
  sum.add_pseudo_header(packet.header.source, packet.header.destination, packet.header.protocol, packet.payload.size());
  sum.add(packet.payload);
  return sum.complement() == 0;
}

}  // namespace msb::net
