// Published ports: sockets of the host that lead to ports of the guest.
//
//   MSB_TRY(auto bound, bind_ports(config.ports));         // before the boot: a taken port is an error that names it
//   MSB_TRY(auto ports, PublishedPorts::create(context, egress, stack, std::move(bound), addresses));
//
// Each peer is judged by the ingress policy when it comes. A TCP connection is made to the guest's address, and when
// nothing listens there, to the guest's 127.0.0.1: services bound to loopback are meant, too, when their port is
// published. To the guest all peers seem to be the gateway, each with a port of its own.
#pragma once

#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

#include <microsandbox/network.h>

#include "net/flow/tcp_egress.h"
#include "net/guest_stack.h"

namespace msb::net {

struct BoundPort {
  PortBinding binding;  // host_port is the real one
  Fd socket;
};

// Failures: invalid_config (the address), io with EADDRINUSE, EACCES ... (the sentence names the port).
Result<std::vector<BoundPort>> bind_ports(const std::vector<PortBinding>& bindings);

class PublishedPorts {
 public:
  // Of the guest; the family that exists.
  struct Addresses {
    std::optional<LinkAddresses> v4;
    std::optional<LinkAddresses> v6;
  };
  static constexpr std::chrono::seconds kUdpIdle{60};
  static constexpr size_t kMaximumUdpPeers = 256;  // of all ports

  static Result<std::unique_ptr<PublishedPorts>> create(FlowContext& context, TcpEgress& egress,
                                                        std::function<GuestStack&()> stack,
                                                        std::vector<BoundPort> ports, Addresses addresses);
  ~PublishedPorts();

  // Takes a datagram of the guest's that answers a peer of a published port; false: it is none.
  bool handle(const UdpDatagram& datagram);

 private:
  class InboundFlow;
  struct Port {
    BoundPort bound;
    Reactor::Watch watch;
  };
  // Someone who has sent to a published UDP port: seen by the guest as the gateway, from a port of its own.
  struct Peer {
    const Port* port;
    Endpoint address;
    uint16_t alias;
    std::chrono::steady_clock::time_point used;
  };

  PublishedPorts(FlowContext& context, TcpEgress& egress, std::function<GuestStack&()> stack, Addresses addresses)
      : context_(context), egress_(egress), stack_(std::move(stack)), addresses_(addresses) {}
  void accept(const Port& port);
  void connect(Fd peer, const Port& port, std::shared_ptr<void> place);
  void receive(const Port& port);
  Peer* peer_of(const Port& port, const Endpoint& address);
  bool admits(const Port& port, NetworkProtocol protocol, const Endpoint& peer);
  const LinkAddresses& link() const { return addresses_.v4 ? *addresses_.v4 : *addresses_.v6; }
  uint16_t next_alias();
  Result<TcpConnection*> dial(const Ip& guest, uint16_t port, std::unique_ptr<TcpUser> user);

  FlowContext& context_;
  TcpEgress& egress_;
  std::function<GuestStack&()> stack_;
  Addresses addresses_;
  std::vector<std::unique_ptr<Port>> ports_;
  std::list<Peer> peers_;  // the longest unused first
  uint16_t alias_ = 0;
  Fd spare_;  // to turn a connection away when there are no descriptors left
};

}  // namespace msb::net
