#include "net/flow/published_ports.h"

#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "net/flow/tcp_relay.h"

namespace msb::net {
namespace {

// Any will do; one that no path leads to, which the walls would have to let through.
Fd spare_descriptor() {
  return Fd(::eventfd(0, EFD_CLOEXEC));
}

// Connections or datagrams of one turn.
constexpr int kTurn = 64;
// The ports that peers have in the guest's eyes.
constexpr uint16_t kFirstAlias = 49152;

}  // namespace

// A connection to the guest that is being made for a peer, then its relay. Nothing of the peer is read before.
class PublishedPorts::InboundFlow final : public TcpUser {
 public:
  InboundFlow(PublishedPorts& ports, Fd peer, uint16_t guest_port, bool first_try, std::shared_ptr<void> place)
      : ports_(ports),
        peer_(std::move(peer)),
        guest_port_(guest_port),
        first_try_(first_try),
        place_(std::move(place)) {}

  void belongs_to(TcpConnection& connection) { connection_ = &connection; }

  void established() override {
    relay_ = std::make_unique<TcpRelay>(ports_.context_.reactor, std::move(peer_));
    relay_->join(*connection_);
  }
  size_t received(ByteView bytes) override { return relay_ ? relay_->received(bytes) : 0; }
  void received_end() override {
    if (relay_) relay_->received_end();
  }
  void writable() override {
    if (relay_) relay_->writable();
  }
  void ended(TcpEnd why) override {
    if (relay_) return relay_->ended(why);
    if (why == TcpEnd::refused && first_try_ && ports_.addresses_.v4) {
      const Ip loopback = Ip::v4(127, 0, 0, 1);
      auto again = std::make_unique<InboundFlow>(ports_, std::move(peer_), guest_port_, false, std::move(place_));
      InboundFlow* raw = again.get();
      if (auto connection = ports_.dial(loopback, guest_port_, std::move(again))) raw->belongs_to(**connection);
      return;
    }
    abort_socket(std::move(peer_));
  }

 private:
  PublishedPorts& ports_;
  Fd peer_;
  uint16_t guest_port_;
  bool first_try_;
  std::shared_ptr<void> place_;
  TcpConnection* connection_ = nullptr;
  std::unique_ptr<TcpRelay> relay_;
};

PublishedPorts::~PublishedPorts() = default;

Result<std::unique_ptr<PublishedPorts>> PublishedPorts::create(FlowContext& context, TcpEgress& egress,
                                                               std::function<GuestStack&()> stack,
                                                               std::vector<BoundPort> ports, Addresses addresses) {
  std::unique_ptr<PublishedPorts> published(new PublishedPorts(context, egress, std::move(stack), addresses));
  published->spare_ = spare_descriptor();
  for (auto& bound : ports) {
    auto port = std::make_unique<Port>(Port{std::move(bound), {}});
    PublishedPorts* self = published.get();
    MSB_TRY(port->watch, context.reactor.watch(port->bound.socket.get(), EPOLLIN, [self, raw = port.get()](uint32_t) {
      if (raw->bound.binding.protocol == PortBinding::Protocol::tcp)
        self->accept(*raw);
      else
        self->receive(*raw);
    }));
    published->ports_.push_back(std::move(port));
  }
  return published;
}

bool PublishedPorts::admits(const Port& port, NetworkProtocol protocol, const Endpoint& peer) {
  const uint16_t guest_port = port.bound.binding.guest_port;
  const Verdict verdict = context_.policy.ingress(protocol, peer.ip, guest_port);
  if (verdict.kind == Verdict::Kind::allow) return true;
  context_.on_denial({.direction = NetworkDirection::ingress,
                      .protocol = protocol,
                      .remote = peer,
                      .guest_port = guest_port,
                      .rule = verdict.reason});
  return false;
}

// Each port is used again only after all others: the guest may remember a connection for a minute.
uint16_t PublishedPorts::next_alias() {
  alias_ = alias_ < kFirstAlias || alias_ == UINT16_MAX ? kFirstAlias : static_cast<uint16_t>(alias_ + 1);
  return alias_;
}

// ---- TCP -----------------------------------------------------------------------------------------------------------

void PublishedPorts::accept(const Port& port) {
  for (int turn = 0; turn < kTurn; ++turn) {
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    Fd peer(
        ::accept4(port.bound.socket.get(), reinterpret_cast<sockaddr*>(&address), &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!peer) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if ((errno != EMFILE && errno != ENFILE) || !spare_) return;
      // The listener would stay readable for ever. The spare descriptor turns the client away.
      spare_.reset();
      Fd refused(::accept4(port.bound.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
      refused.reset();
      spare_ = spare_descriptor();
      continue;
    }
    const Endpoint from = to_endpoint(address);
    auto place = egress_.take_place();
    if (!place)
      context_.on_denial({.direction = NetworkDirection::ingress,
                          .protocol = NetworkProtocol::tcp,
                          .remote = from,
                          .guest_port = port.bound.binding.guest_port,
                          .rule = cat("limit of ", context_.max_connections, " connections")});
    if (!place || !admits(port, NetworkProtocol::tcp, from)) {
      abort_socket(std::move(peer));
      continue;
    }
    connect(std::move(peer), port, std::move(place));
  }
}

void PublishedPorts::connect(Fd peer, const Port& port, std::shared_ptr<void> place) {
  constexpr int kOn = 1;
  ::setsockopt(peer.get(), IPPROTO_TCP, TCP_NODELAY, &kOn, sizeof(kOn));
  const uint16_t guest_port = port.bound.binding.guest_port;
  auto flow = std::make_unique<InboundFlow>(*this, std::move(peer), guest_port, true, std::move(place));
  InboundFlow* raw = flow.get();
  if (auto connection = dial(link().guest, guest_port, std::move(flow))) raw->belongs_to(**connection);
}

Result<TcpConnection*> PublishedPorts::dial(const Ip& guest, uint16_t port, std::unique_ptr<TcpUser> user) {
  return stack_().tcp().connect({link().gateway, next_alias()}, {guest, port}, std::move(user));
}

// ---- UDP -----------------------------------------------------------------------------------------------------------

void PublishedPorts::receive(const Port& port) {
  std::array<uint8_t, 65536> buffer;
  for (int turn = 0; turn < kTurn; ++turn) {
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    const ssize_t got = ::recvfrom(port.bound.socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                                   reinterpret_cast<sockaddr*>(&address), &size);
    if (got < 0) return;
    const Peer* peer = peer_of(port, to_endpoint(address));
    if (peer)
      stack_().send_udp({link().gateway, peer->alias}, {link().guest, port.bound.binding.guest_port},
                        {buffer.data(), static_cast<size_t>(got)});
  }
}

PublishedPorts::Peer* PublishedPorts::peer_of(const Port& port, const Endpoint& address) {
  const auto now = std::chrono::steady_clock::now();
  while (!peers_.empty() && peers_.front().used + kUdpIdle <= now) peers_.pop_front();
  auto found =
      std::ranges::find_if(peers_, [&](const Peer& peer) { return peer.port == &port && peer.address == address; });
  if (found == peers_.end()) {
    if (!admits(port, NetworkProtocol::udp, address)) return nullptr;
    if (peers_.size() >= kMaximumUdpPeers) peers_.pop_front();
    peers_.push_back({&port, address, next_alias(), now});
    return &peers_.back();
  }
  found->used = now;
  peers_.splice(peers_.end(), peers_, found);
  return &*found;
}

bool PublishedPorts::handle(const UdpDatagram& datagram) {
  if (datagram.remote.ip != link().gateway || datagram.remote.port < kFirstAlias) return false;
  const auto found = std::ranges::find_if(peers_, [&](const Peer& peer) {
    return peer.alias == datagram.remote.port && peer.port->bound.binding.guest_port == datagram.guest.port;
  });
  if (found == peers_.end()) return false;
  found->used = std::chrono::steady_clock::now();
  peers_.splice(peers_.end(), peers_, found);
  const SocketAddress address = to_socket_address(found->address);
  (void)::sendto(found->port->bound.socket.get(), datagram.payload.data(), datagram.payload.size(),
                 MSG_DONTWAIT | MSG_NOSIGNAL, address.get(), address.size);
  return true;
}

}  // namespace msb::net
