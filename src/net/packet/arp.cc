#include "net/packet/arp.h"

#include <algorithm>

namespace msb::net {
namespace {
// Hardware type Ethernet, protocol IPv4, sizes of their addresses.
constexpr std::array<uint8_t, 6> kStart = {0, 1, 8, 0, 6, 4};
}  // namespace

std::optional<ArpPacket> parse_arp(ByteView bytes) {
  if (bytes.size() < ArpPacket::kSize || !std::equal(kStart.begin(), kStart.end(), bytes.begin())) return std::nullopt;
  const auto operation = load_be<uint16_t>(&bytes[6]);
  if (operation != 1 && operation != 2) return std::nullopt;
  ArpPacket packet;
  packet.operation = static_cast<ArpPacket::Operation>(operation);
  std::copy_n(&bytes[8], 6, packet.sender_mac.bytes.begin());
  packet.sender = Ip::from_bytes(bytes.subspan(14, 4));
  std::copy_n(&bytes[18], 6, packet.target_mac.bytes.begin());
  packet.target = Ip::from_bytes(bytes.subspan(24, 4));
  return packet;
}

void write_arp(const ArpPacket& packet, uint8_t* out) {
  std::ranges::copy(kStart, out);
  store_be(out + 6, static_cast<uint16_t>(packet.operation));
  std::ranges::copy(packet.sender_mac.bytes, out + 8);
  std::ranges::copy(packet.sender.bytes(), out + 14);
  std::ranges::copy(packet.target_mac.bytes, out + 18);
  std::ranges::copy(packet.target.bytes(), out + 24);
}

}  // namespace msb::net
