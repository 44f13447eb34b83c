#include "net/guest_stack.h"

#include <algorithm>
#include <utility>

#include "net/link/frame_link.h"
#include "net/link/packet_sender.h"
#include "net/link/reassembler.h"
#include "net/packet/ethernet.h"
#include "net/packet/icmp.h"
#include "net/packet/net_header.h"
#include "net/packet/udp.h"
#include "net/tcp/terminator.h"

namespace msb::net {
namespace {

const Ip kLoopback = Ip::v4(127, 0, 0, 1);

class Stack final : public GuestStack, private FrameUser, private TcpLink {
 public:
  Stack(const LinkConfig& config, Hooks hooks) : config_(config), hooks_(std::move(hooks)) {}
  Result<> start(Reactor& reactor, Fd fd, const TcpEngine::Limits& limits);

  TcpEngine& tcp() override { return *tcp_; }
  void send_udp(const Endpoint& from, const Endpoint& guest, ByteView payload) override;
  void send_pong(const PingRequest& request) override;
  void send_unreachable(const UdpDatagram& of, Unreachable why) override;
  void send_unreachable(const PingRequest& of, Unreachable why) override;
  void resume_reading() override { link_->resume_reading(); }
  void resume_sending() override { link_->resume_sending(); }
  StackCounters counters() const override;

 private:
  const LinkAddresses* addresses(Family family) const;

  // FrameUser
  bool admit(size_t bytes) override { return hooks_.admit(bytes); }
  bool admit_sending(size_t bytes) override { return hooks_.admit_sending(bytes); }
  void frame(ByteView message) override { dropped_ += !take_frame(message); }
  void batch_ended() override { tcp_->settle(); }
  void writable() override { tcp_->settle(); }
  void link_ended(const Error& why) override { std::exchange(hooks_.link_ended, {})(why); }

  // From the guest; false: dropped.
  bool take_frame(ByteView message);
  bool take_arp(ByteView bytes);
  bool take_ip(ByteView bytes, Family family, bool trusted_checksum);
  bool take_packet(const IpPacket& packet, bool trusted_checksum);
  bool take_udp(const IpPacket& packet, bool trusted_checksum);
  bool take_icmp(const IpPacket& packet);

  // TcpLink
  Clock::time_point now() override { return Clock::now(); }
  void wake_at(Clock::time_point when) override;
  bool send(const TcpEnds& ends, const TcpHeader& header, const Pieces& payload, uint16_t mss) override {
    return sender_->send_tcp(ends.remote.ip, ends.guest.ip, header, payload, mss);
  }
  void send_once(const TcpEnds& ends, const TcpHeader& header) override {
    sender_->send_tcp_once(ends.remote.ip, ends.guest.ip, header);
  }
  void send_unreachable(const TcpEnds& ends, uint32_t sequence, Unreachable why) override;
  bool has_guest(Family family) const override { return addresses(family) != nullptr; }
  uint16_t mtu() const override { return config_.mtu; }
  bool cuts_segments() const override { return config_.frames == Frames::with_header; }

  // `transport` is what the guest's packet began with after its IP header.
  void send_unreachable(const Ip& remote, uint8_t protocol, ByteView transport, Unreachable why);

  const LinkConfig config_;
  Hooks hooks_;
  Reassembler reassembler_;
  uint64_t dropped_ = 0;
  std::unique_ptr<FrameLink> link_;
  std::unique_ptr<PacketSender> sender_;
  std::unique_ptr<Timer> timer_;
  Clock::time_point wake_ = Clock::time_point::max();
  std::unique_ptr<TcpTerminator> tcp_;
};

Result<> Stack::start(Reactor& reactor, Fd fd, const TcpEngine::Limits& limits) {
  MSB_TRY(link_, FrameLink::create(reactor, std::move(fd), *this));
  sender_ = std::make_unique<PacketSender>(*link_, config_);
  MSB_TRY(timer_, Timer::create(reactor, [this] {
            wake_ = Clock::time_point::max();
            tcp_->expire();
          }));
  TcpLink& link = *this;
  tcp_ = std::make_unique<TcpTerminator>(link, hooks_.tcp, limits);
  return {};
}

const LinkAddresses* Stack::addresses(Family family) const {
  const auto& found = family == Family::v4 ? config_.v4 : config_.v6;
  return found ? &*found : nullptr;
}

bool Stack::take_frame(ByteView message) {
  NetHeader net;
  if (config_.frames == Frames::with_header) {
    const auto header = parse_net_header(message);
    if (!header) return false;
    net = *header;
    message = message.subspan(NetHeader::kSize);
  }
  const auto ethernet = parse_ethernet(message);
  if (!ethernet || ethernet->header.source != config_.guest_mac) return false;
  const Mac& to = ethernet->header.destination;
  const bool is_group = to.bytes[0] & 1;
  if (!is_group && to != config_.gateway_mac) return false;
  switch (ethernet->header.type) {
    case EtherType::arp:
      return take_arp(ethernet->payload);
    case EtherType::ipv4:
      return take_ip(ethernet->payload, Family::v4, net.needs_checksum);
    case EtherType::ipv6:
      return take_ip(ethernet->payload, Family::v6, net.needs_checksum);
  }
  return false;
}

bool Stack::take_arp(ByteView bytes) {
  const auto arp = parse_arp(bytes);
  const LinkAddresses* v4 = addresses(Family::v4);
  if (!arp || !v4 || arp->sender_mac != config_.guest_mac) return false;
  // Others are nobody's; that the guest announces itself is no news.
  if (arp->operation == ArpPacket::Operation::request && arp->target == v4->gateway)
    sender_->send_arp({ArpPacket::Operation::reply, config_.gateway_mac, v4->gateway, arp->sender_mac, arp->sender});
  return true;
}

bool Stack::take_ip(ByteView bytes, Family family, bool trusted_checksum) {
  const auto packet = parse_ip(bytes);
  if (!packet || packet->header.source.family() != family) return false;
  const Ip& source = packet->header.source;
  const LinkAddresses* link = addresses(family);
  if (!link) return false;
  // Of a connection that was made to the guest's own loopback, for a published port (flow/published_ports.h).
  if (source == kLoopback && !packet->header.is_fragment() && packet->header.protocol == kTcp &&
      tcp_->is_of_connection(*packet))
    return take_packet(*packet, trusted_checksum);
  if (source != link->guest) {
    // A guest also speaks as its link-local address and as none, of neighbours, routers and groups; only the first
    // concerns us.
    if (source.is_v4() || packet->header.is_fragment() || packet->header.protocol != kIcmpV6) return false;
    return !packet->header.destination.is_multicast() && packet->header.destination != link->gateway
               ? false
               : take_icmp(*packet);
  }
  if (!packet->header.is_fragment()) return take_packet(*packet, trusted_checksum);
  const auto whole = reassembler_.add(*packet, now());
  if (!whole) return true;
  const bool good = take_packet(*whole, false);
  tcp_->settle();  // the packet does not stay until the end of the batch
  return good;
}

bool Stack::take_packet(const IpPacket& packet, bool trusted_checksum) {
  const Ip& to = packet.header.destination;
  if (to.is_unspecified() || to == packet.header.source) return false;
  switch (packet.header.protocol) {
    case kTcp:
      return !to.is_multicast() && (trusted_checksum || transport_checksum_is_right(packet)) && tcp_->packet(packet);
    case kUdp:
      return take_udp(packet, trusted_checksum);
    case kIcmp:
    case kIcmpV6:
      return take_icmp(packet);
  }
  return false;
}

bool Stack::take_udp(const IpPacket& packet, bool trusted_checksum) {
  const auto udp = parse_udp(packet.payload);
  if (!udp || udp->source_port == 0 || udp->destination_port == 0) return false;
  if (!trusted_checksum && !udp_checksum_is_right(packet)) return false;
  hooks_.udp(
      {{packet.header.source, udp->source_port}, {packet.header.destination, udp->destination_port}, udp->payload});
  return true;
}

bool Stack::take_icmp(const IpPacket& packet) {
  if (!icmp_is_whole(packet)) return false;
  const Ip& guest = packet.header.source;
  const LinkAddresses& link = *addresses(guest.family());
  if (const auto target = parse_neighbour_solicitation(packet)) {
    if (*target == link.gateway && !guest.is_unspecified())
      sender_->send_icmp(link.gateway, guest,
                         make_neighbour_advertisement(link.gateway, guest, link.gateway, config_.gateway_mac), 255);
    return true;
  }
  if (const auto ours = parse_unreachable(packet)) {
    tcp_->undeliverable(*ours);
    return true;
  }
  const auto echo = parse_echo_request(packet);
  // What else there is (announcements) asks for nothing.
  if (!echo || packet.header.destination.is_multicast()) return true;
  if (guest != link.guest) return false;
  const PingRequest request{packet.header.destination, echo->id, echo->sequence, echo->payload};
  if (request.remote == link.gateway) {
    send_pong(request);
  } else {
    hooks_.ping(request);
  }
  return true;
}

void Stack::send_udp(const Endpoint& from, const Endpoint& guest, ByteView payload) {
  if (from.ip.family() == guest.ip.family() && has_guest(guest.ip.family())) sender_->send_udp(from, guest, payload);
}

void Stack::send_pong(const PingRequest& request) {
  const LinkAddresses* link = addresses(request.remote.family());
  if (!link) return;
  sender_->send_icmp(
      request.remote, link->guest,
      make_echo(EchoKind::reply, request.remote, link->guest, {request.id, request.sequence, request.payload}));
}

void Stack::send_unreachable(const UdpDatagram& of, Unreachable why) {
  Bytes transport(UdpPacket::kHeaderSize);
  write_udp(of.guest, of.remote, of.payload, transport.data());
  transport.insert(transport.end(), of.payload.begin(), of.payload.end());
  send_unreachable(of.remote.ip, kUdp, transport, why);
}

void Stack::send_unreachable(const PingRequest& of, Unreachable why) {
  const LinkAddresses* link = addresses(of.remote.family());
  if (!link) return;
  send_unreachable(of.remote, icmp_protocol(of.remote.family()),
                   make_echo(EchoKind::request, link->guest, of.remote, {of.id, of.sequence, of.payload}), why);
}

void Stack::send_unreachable(const TcpEnds& ends, uint32_t sequence, Unreachable why) {
  const TcpHeader syn{
      .source_port = ends.guest.port, .destination_port = ends.remote.port, .sequence = sequence, .flags = kSyn};
  Bytes transport(syn.size());
  write_tcp(ends.guest.ip, ends.remote.ip, syn, 0, transport.data());
  send_unreachable(ends.remote.ip, kTcp, transport, why);
}

void Stack::send_unreachable(const Ip& remote, uint8_t protocol, ByteView transport, Unreachable why) {
  const LinkAddresses* link = addresses(remote.family());
  if (!link) return;
  const IpHeader ip{.source = link->guest, .destination = remote, .protocol = protocol};
  Bytes original(ip.size());
  write_ip(ip, transport.size(), original.data());
  original.insert(original.end(), transport.begin(), transport.end());
  sender_->send_icmp(link->gateway, link->guest, make_unreachable(link->gateway, link->guest, why, original));
}

void Stack::wake_at(Clock::time_point when) {
  if (when >= wake_) return;
  wake_ = when;
  (void)timer_->arm(when - Clock::now());
}

StackCounters Stack::counters() const {
  const uint64_t header = config_.frames == Frames::with_header ? NetHeader::kSize : 0;
  // A frame too short for its header is malformed, and counts nothing.
  auto without = [header](uint64_t bytes, uint64_t frames) { return bytes - std::min(bytes, frames * header); };
  return {.received_frames = link_->received_frames(),
          .received_bytes = without(link_->received_bytes(), link_->received_frames()),
          .sent_frames = link_->sent_frames(),
          .sent_bytes = without(link_->sent_bytes(), link_->sent_frames()),
          .dropped = dropped_};
}

}  // namespace

Result<std::unique_ptr<GuestStack>> GuestStack::create(Reactor& reactor, Fd link, const LinkConfig& config, Hooks hooks,
                                                       const TcpEngine::Limits& limits) {
  auto stack = std::make_unique<Stack>(config, std::move(hooks));
  MSB_CHECK(stack->start(reactor, std::move(link), limits));
  return stack;
}

}  // namespace msb::net
