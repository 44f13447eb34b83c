#include "net/link/packet_sender.h"

#include <algorithm>

#include "net/packet/checksum.h"
#include "net/packet/ethernet.h"
#include "net/packet/udp.h"

namespace msb::net {

// The headers of one frame, written front to back.
struct PacketSender::Head {
  std::array<uint8_t, NetHeader::kSize + EthernetHeader::kSize + kLargestIpHeader + TcpHeader::kLargestWritten> bytes;
  size_t size = 0;

  Head(const LinkConfig& config, const NetHeader& net, EtherType type) {
    if (config.frames == Frames::with_header) write_net_header(net, room(NetHeader::kSize));
    write_ethernet({config.guest_mac, config.gateway_mac, type}, room(EthernetHeader::kSize));
  }
  Head(const LinkConfig& config, const NetHeader& net, const IpHeader& ip, size_t payload_size)
      : Head(config, net, ip.source.is_v4() ? EtherType::ipv4 : EtherType::ipv6) {
    write_ip(ip, payload_size, room(ip.size()));
  }
  uint8_t* room(size_t count) {
    uint8_t* at = bytes.data() + size;
    size += count;
    return at;
  }
  iovec piece() { return {bytes.data(), size}; }
};

namespace {

iovec piece_of(ByteView bytes) {
  return {const_cast<uint8_t*>(bytes.data()), bytes.size()};
}

size_t size_of(const Pieces& payload) {
  return payload[0].size() + payload[1].size();
}

// `count` bytes from `offset` on.
Pieces part_of(const Pieces& payload, size_t offset, size_t count) {
  const size_t first = std::min(offset, payload[0].size());
  const size_t from_first = std::min(payload[0].size() - first, count);
  return {payload[0].subspan(first, from_first), payload[1].subspan(offset - first, count - from_first)};
}

// Makes the checksum of a segment whole: write_tcp() has left that of the pseudo-header in it.
void complete_checksum(uint8_t* tcp, size_t size, const Pieces& payload) {
  Checksum sum;
  sum.add({tcp, size});
  sum.add(payload[0]);
  sum.add(payload[1]);
  store_be(tcp + TcpHeader::kChecksumOffset, sum.complement());
}

}  // namespace

bool PacketSender::send_tcp(const Ip& from, const Ip& to, const TcpHeader& header, const Pieces& payload,
                            uint16_t mss) {
  const size_t payload_size = size_of(payload);
  const IpHeader ip{.source = from, .destination = to, .protocol = kTcp};
  NetHeader net;
  net.needs_checksum = true;
  net.checksum_start = static_cast<uint16_t>(EthernetHeader::kSize + ip.size());
  net.checksum_offset = TcpHeader::kChecksumOffset;
  net.header_size = static_cast<uint16_t>(net.checksum_start + header.size());
  if (payload_size > mss) {
    net.segmentation = from.is_v4() ? NetHeader::Segmentation::tcp_v4 : NetHeader::Segmentation::tcp_v6;
    net.segment_size = mss;
  }
  Head head(config_, net, ip, header.size() + payload_size);
  uint8_t* tcp = head.room(header.size());
  write_tcp(from, to, header, payload_size, tcp);
  if (config_.frames == Frames::bare) complete_checksum(tcp, header.size(), payload);
  const iovec pieces[] = {head.piece(), piece_of(payload[0]), piece_of(payload[1])};
  return link_.try_send({pieces, size_t{1} + !payload[0].empty() + !payload[1].empty()});
}

void PacketSender::send_tcp_once(const Ip& from, const Ip& to, const TcpHeader& header) {
  NetHeader net;
  const IpHeader ip{.source = from, .destination = to, .protocol = kTcp};
  net.needs_checksum = true;
  net.checksum_start = static_cast<uint16_t>(EthernetHeader::kSize + ip.size());
  net.checksum_offset = TcpHeader::kChecksumOffset;
  Head head(config_, net, ip, header.size());
  uint8_t* tcp = head.room(header.size());
  write_tcp(from, to, header, 0, tcp);
  if (config_.frames == Frames::bare) complete_checksum(tcp, header.size(), {});
  const iovec piece = head.piece();
  (void)link_.send_or_keep({&piece, 1});
}

void PacketSender::send_udp(const Endpoint& from, const Endpoint& to, ByteView payload) {
  std::array<uint8_t, UdpPacket::kHeaderSize> udp;
  if (payload.size() + udp.size() + 20 > kLargestIpPayload) return;
  write_udp(from, to, payload, udp.data());
  send_packet({.source = from.ip, .destination = to.ip, .protocol = kUdp}, {udp, payload});
}

void PacketSender::send_icmp(const Ip& from, const Ip& to, ByteView message, uint8_t hop_limit) {
  if (message.size() + 20 > kLargestIpPayload) return;
  send_packet({.source = from,
               .destination = to,
               .protocol = from.is_v4() ? uint8_t{kIcmp} : uint8_t{kIcmpV6},
               .hop_limit = hop_limit},
              {message, {}});
}

void PacketSender::send_packet(IpHeader header, const Pieces& payload) {
  const size_t total = size_of(payload);
  size_t most = total;
  if (header.size() + total > config_.mtu) {
    header.id = ++fragmented_;
    header.more = true;
    most = (config_.mtu - header.size()) / 8 * 8;
  }
  size_t offset = 0;
  do {
    const size_t count = std::min(most, total - offset);
    header.offset = static_cast<uint16_t>(offset);
    header.more = offset + count < total;
    const Pieces part = part_of(payload, offset, count);
    Head head(config_, {}, header, count);
    const iovec pieces[] = {head.piece(), piece_of(part[0]), piece_of(part[1])};
    // Without one fragment the others are of no use.
    if (!link_.send_or_keep(pieces)) return;
    offset += count;
  } while (offset < total);
}

void PacketSender::send_arp(const ArpPacket& packet) {
  Head head(config_, {}, EtherType::arp);
  write_arp(packet, head.room(ArpPacket::kSize));
  const iovec piece = head.piece();
  (void)link_.send_or_keep({&piece, 1});
}

}  // namespace msb::net
