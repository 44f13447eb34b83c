#include "net/testing/raw_guest.h"

#include <sys/socket.h>
#include <unistd.h>

#include "net/packet/checksum.h"
#include "net/packet/ethernet.h"
#include "net/packet/net_header.h"
#include "net/packet/tcp.h"
#include "net/packet/udp.h"
#include "net/testing/tap_guest.h"

namespace msb::net::testing {
namespace {

Bytes make_frame(EtherType type, size_t room) {
  const LinkConfig config = TapGuest::link_config();
  Bytes frame(NetHeader::kSize + EthernetHeader::kSize + room);
  write_ethernet({config.gateway_mac, config.guest_mac, type}, frame.data() + NetHeader::kSize);
  return frame;
}

constexpr size_t kHeaders = NetHeader::kSize + EthernetHeader::kSize;

}  // namespace

RawGuest::RawGuest(const TcpEngine::Limits& limits) : reactor_(Reactor::create().value()) {
  int ends[2];
  (void)::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends);
  guest_.reset(ends[1]);
  auto hooks = services_.hooks();
  hooks.admit = [this](size_t) { return admitting; };
  hooks.admit_sending = [this](size_t) { return admitting_sending; };
  hooks.link_ended = [this](const Error& error) {
    link_ended = error;
    stack_.reset();
  };
  stack_ = GuestStack::create(*reactor_, Fd(ends[0]), TapGuest::link_config(), std::move(hooks), limits).value();
  services_.attach(*stack_);
}

bool RawGuest::send(ByteView message) {
  if (::send(guest_.get(), message.data(), message.size(), MSG_NOSIGNAL) < 0) return false;
  turn();
  return true;
}

bool RawGuest::send_packet(const IpHeader& header, ByteView payload) {
  Bytes frame = make_frame(header.source.is_v4() ? EtherType::ipv4 : EtherType::ipv6, header.size());
  write_ip(header, payload.size(), frame.data() + kHeaders);
  frame.insert(frame.end(), payload.begin(), payload.end());
  return send(frame);
}

bool RawGuest::send_arp(const ArpPacket& packet) {
  Bytes frame = make_frame(EtherType::arp, ArpPacket::kSize);
  write_arp(packet, frame.data() + kHeaders);
  return send(frame);
}

Bytes RawGuest::receive() {
  Bytes frame(size_t{70} << 10);
  const ssize_t count = ::read(guest_.get(), frame.data(), frame.size());
  if (count < static_cast<ssize_t>(NetHeader::kSize)) return {};
  frame.resize(static_cast<size_t>(count));
  frame.erase(frame.begin(), frame.begin() + NetHeader::kSize);
  return frame;
}

std::optional<IpPacket> RawGuest::receive_packet() {
  received_ = receive();
  const auto frame = parse_ethernet(received_);
  return frame ? parse_ip(frame->payload) : std::nullopt;
}

Bytes make_tcp(const IpHeader& ip, uint16_t from, uint16_t to, uint32_t sequence, uint8_t flags) {
  const TcpHeader header{.source_port = from, .destination_port = to, .sequence = sequence, .flags = flags};
  Bytes bytes(header.size());
  write_tcp(ip.source, ip.destination, header, 0, bytes.data());
  Checksum sum;
  sum.add(bytes);
  store_be(&bytes[TcpHeader::kChecksumOffset], sum.complement());
  return bytes;
}

Bytes make_udp(const IpHeader& ip, uint16_t from, uint16_t to, ByteView payload) {
  Bytes bytes(UdpPacket::kHeaderSize);
  write_udp({ip.source, from}, {ip.destination, to}, payload, bytes.data());
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return bytes;
}

}  // namespace msb::net::testing
