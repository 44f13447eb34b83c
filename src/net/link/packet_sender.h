// PacketSender: IP packets to the guest, as frames of a FrameLink. All headers are written here; payloads stay where
// they are. A TCP segment may be larger than the MTU (the other side segments it, or never needs to), everything else
// is fragmented.
#pragma once

#include "net/guest_stack.h"
#include "net/link/frame_link.h"
#include "net/packet/arp.h"
#include "net/packet/net_header.h"
#include "net/packet/tcp.h"

namespace msb::net {

// A payload in at most two pieces, as it lies in a buffer of chunks.
using Pieces = std::array<ByteView, 2>;

class PacketSender {
 public:
  PacketSender(FrameLink& link, const LinkConfig& config) : link_(link), config_(config) {}

  // False when the link is full: the segment is to be made again later. `mss` is what the segments are cut to.
  bool send_tcp(const Ip& from, const Ip& to, const TcpHeader& header, const Pieces& payload, uint16_t mss);
  // The same for what nobody makes again: kept when the link is full, lost when it has been for long.
  void send_tcp_once(const Ip& from, const Ip& to, const TcpHeader& header);
  void send_udp(const Endpoint& from, const Endpoint& to, ByteView payload);
  void send_icmp(const Ip& from, const Ip& to, ByteView message, uint8_t hop_limit = 64);
  void send_arp(const ArpPacket& packet);

 private:
  struct Head;
  void send_packet(IpHeader header, const Pieces& payload);

  FrameLink& link_;
  LinkConfig config_;
  uint32_t fragmented_ = 0;  // packets; their id
};

}  // namespace msb::net
