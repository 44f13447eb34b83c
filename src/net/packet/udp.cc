#include "net/packet/udp.h"

#include "net/packet/checksum.h"

namespace msb::net {

std::optional<UdpPacket> parse_udp(ByteView bytes) {
  if (bytes.size() < UdpPacket::kHeaderSize) return std::nullopt;
  const size_t size = load_be<uint16_t>(&bytes[4]);
  if (size < UdpPacket::kHeaderSize || size > bytes.size()) return std::nullopt;
  return UdpPacket{load_be<uint16_t>(&bytes[0]), load_be<uint16_t>(&bytes[2]),
                   bytes.subspan(UdpPacket::kHeaderSize, size - UdpPacket::kHeaderSize)};
}

bool udp_checksum_is_right(const IpPacket& packet) {
  if (packet.payload.size() < UdpPacket::kHeaderSize) return false;
  const size_t size = load_be<uint16_t>(&packet.payload[4]);
  if (size < UdpPacket::kHeaderSize || size > packet.payload.size()) return false;
  if (packet.header.source.is_v4() && load_be<uint16_t>(&packet.payload[UdpPacket::kChecksumOffset]) == 0) return true;
  return transport_checksum_is_right({packet.header, packet.payload.first(size)});
}

void write_udp(const Endpoint& from, const Endpoint& to, ByteView payload, uint8_t* out) {
  const size_t size = UdpPacket::kHeaderSize + payload.size();
  store_be(out, from.port);
  store_be(out + 2, to.port);
  store_be(out + 4, static_cast<uint16_t>(size));
  store_be(out + UdpPacket::kChecksumOffset, uint16_t{0});
  Checksum sum;
  sum.add_pseudo_header(from.ip, to.ip, kUdp, size);
  sum.add({out, UdpPacket::kHeaderSize});
  sum.add(payload);
  const uint16_t checksum = sum.complement();
  store_be(out + UdpPacket::kChecksumOffset, checksum != 0 ? checksum : uint16_t{0xffff});
}

}  // namespace msb::net
