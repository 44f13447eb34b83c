// Gateway: the whole network of one guest: what its stack brings goes by the policy to flows of the host, and back.
//
//   guest --frames--> GuestStack --+-- SYN ------> TcpEgress ---- policy, dial --> TcpRelay <--> socket of the host
//                                  +-- datagram -> UdpSessions -- policy --------> socket of the host
//                                  |      port 53 -> DnsGateway -- policy, pins --> name servers
//                                  +-- echo -----> PingSessions - policy --------> ping socket of the host
//   client of the host --> PublishedPorts -- ingress policy --> TcpEngine::connect(), send_udp()
//
// One reactor thread, on which everything happens; it may be destroyed between two turns of the reactor. Nothing is
// opened after create() but sockets and /etc/resolv.conf.
#pragma once

#include <atomic>
#include <memory>

#include "net/dns/dns_gateway.h"
#include "net/events.h"
#include "net/flow/ping_sessions.h"
#include "net/flow/published_ports.h"
#include "net/flow/tcp_egress.h"
#include "net/flow/token_bucket.h"
#include "net/flow/udp_sessions.h"
#include "net/guest_stack.h"

namespace msb::net {

// Since the start, but for `connections`.
struct GatewayCounters {
  StackCounters stack;
  uint32_t connections = 0;  // of TCP, at this moment: dialled or relayed, opened by either side
  uint64_t denials = 0;      // events that went to Hooks::on_denial
};

class Gateway {
 public:
  struct Hooks {
    std::function<void(DenialEvent)> on_denial = [](const DenialEvent&) {};
    std::function<void(const Error&)> link_ended = [](const Error&) {};
    std::function<void(const Error&)> proxy_trouble = [](const Error&) {};  // Upstream::Trouble
  };
  // What there is on the host's side.
  struct Outside {
    std::vector<BoundPort> ports = {};  // as bind_ports() gave them
    std::optional<UpstreamProxy> proxy = {};
  };

  // `link`: see GuestStack.
  static Result<std::unique_ptr<Gateway>> create(Reactor& reactor, Fd link, const NetworkConfig& config,
                                                 const LinkConfig& addresses, Outside outside, Hooks hooks);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  GatewayCounters counters() const { return {stack_->counters(), egress_->connections(), denials_}; }

 private:
  Gateway(Reactor& reactor, const NetworkConfig& config, Hooks hooks);
  Result<> start(Reactor& reactor, Fd link, const NetworkConfig& config, const LinkConfig& addresses, Outside outside);
  bool admit(RateGate& gate, Timer& timer, size_t bytes);
  void deny(DenialEvent event);

  // Order of members is order of life.
  Hooks hooks_;
  uint64_t denials_ = 0;
  PinTable pins_;
  std::optional<Policy> policy_;
  RateGate egress_gate_;
  RateGate ingress_gate_;
  std::unique_ptr<Timer> egress_timer_;
  std::unique_ptr<Timer> ingress_timer_;
  std::unique_ptr<DnsGateway> dns_;
  std::optional<Upstream> upstream_;
  std::optional<FlowContext> context_;
  std::unique_ptr<TcpEgress> egress_;
  std::unique_ptr<UdpSessions> udp_;
  std::unique_ptr<PingSessions> pings_;
  std::unique_ptr<GuestStack> stack_;  // its connections' users belong to flows above
  std::unique_ptr<PublishedPorts> ports_;
};

}  // namespace msb::net
