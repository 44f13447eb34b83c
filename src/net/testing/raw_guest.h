// RawGuest: a GuestStack with Services on one end of a SOCK_SEQPACKET socket, and a guest on the other that sends any
// frame it likes. One thread: after each frame the stack has its turn.
#pragma once

#include "net/packet/arp.h"
#include "net/packet/ip.h"
#include "net/testing/services.h"

namespace msb::net::testing {

class RawGuest {
 public:
  explicit RawGuest(const TcpEngine::Limits& limits = {});

  // A whole message; false when the link is full.
  bool send(ByteView message);
  // A frame round it, from the guest's MAC to the gateway's.
  bool send_packet(const IpHeader& header, ByteView payload);
  bool send_arp(const ArpPacket& packet);
  void turn() { (void)reactor_->run_once(); }  // blocks when nothing is to do

  // The next frame for the guest, without its virtio_net_hdr; empty: none.
  Bytes receive();
  // Its IP packet, whose checksums have been looked at by nobody. `bytes` keeps it.
  std::optional<IpPacket> receive_packet();

  GuestStack& stack() { return *stack_; }
  Services& services() { return services_; }
  void close() { guest_.reset(); }
  void end_stack() { stack_.reset(); }

  // As the hooks answer.
  bool admitting = true;
  bool admitting_sending = true;
  std::optional<Error> link_ended;

 private:
  Services services_;
  std::unique_ptr<Reactor> reactor_;
  Fd guest_;
  std::unique_ptr<GuestStack> stack_;
  Bytes received_;
};

// The header and payload of a TCP segment or UDP datagram, with a right checksum.
Bytes make_tcp(const IpHeader& ip, uint16_t from, uint16_t to, uint32_t sequence, uint8_t flags);
Bytes make_udp(const IpHeader& ip, uint16_t from, uint16_t to, ByteView payload);

}  // namespace msb::net::testing
