#include "net/gateway.h"

namespace msb::net {
namespace {

std::vector<Ip> gateways_of(const LinkConfig& link) {
  std::vector<Ip> gateways;
  for (const auto* family : {&link.v4, &link.v6})
    if (*family) gateways.push_back((*family)->gateway);
  return gateways;
}

}  // namespace

Result<std::unique_ptr<Gateway>> Gateway::create(Reactor& reactor, Fd link, const NetworkConfig& config,
                                                 const LinkConfig& addresses, Outside outside, Hooks hooks) {
  std::unique_ptr<Gateway> gateway(new Gateway(reactor, config, std::move(hooks)));
  MSB_CHECK(gateway->start(reactor, std::move(link), config, addresses, std::move(outside)));
  return gateway;
}

Gateway::Gateway(Reactor&, const NetworkConfig& config, Hooks hooks)
    : hooks_(std::move(hooks)),
      egress_gate_(config.egress, RateGate::Clock::now()),
      ingress_gate_(config.ingress, RateGate::Clock::now()) {}

Gateway::~Gateway() {
  // Connections end in the users that flows have made; those may still look at their context then.
  ports_.reset();
  stack_.reset();
}

Result<> Gateway::start(Reactor& reactor, Fd link, const NetworkConfig& config, const LinkConfig& addresses,
                        Outside outside) {
  const auto gateways = gateways_of(addresses);
  MSB_TRY(policy_, Policy::compile(config, gateways));
  MSB_TRY(dns_, DnsGateway::create(reactor, {.dns = config.dns, .v4 = addresses.v4, .v6 = addresses.v6}, *policy_,
                                   pins_, [this](DenialEvent event) { deny(std::move(event)); }));
  upstream_.emplace(reactor, pins_, gateways, std::move(outside.proxy),
                    [this](const Error& trouble) { hooks_.proxy_trouble(trouble); });
  context_.emplace(FlowContext{.reactor = reactor,
                               .policy = *policy_,
                               .pins = pins_,
                               .dns = *dns_,
                               .upstream = *upstream_,
                               .gateways = gateways,
                               .max_connections = config.max_connections,
                               .on_denial = [this](DenialEvent event) { deny(std::move(event)); }});
  egress_ = std::make_unique<TcpEgress>(*context_);
  const auto stack = [this]() -> GuestStack& { return *stack_; };
  MSB_TRY(udp_, UdpSessions::create(*context_, stack));
  MSB_TRY(pings_, PingSessions::create(*context_, stack));
  MSB_TRY(egress_timer_, Timer::create(reactor, [this] { stack_->resume_reading(); }));
  MSB_TRY(ingress_timer_, Timer::create(reactor, [this] { stack_->resume_sending(); }));

  GuestStack::Hooks hooks;
  hooks.tcp = [this](TcpRequest request) { egress_->handle(std::move(request)); };
  hooks.udp = [this](const UdpDatagram& datagram) {
    if (!ports_ || !ports_->handle(datagram)) udp_->handle(datagram);
  };
  hooks.ping = [this](const PingRequest& request) { pings_->handle(request); };
  if (egress_gate_.limits()) hooks.admit = [this](size_t bytes) { return admit(egress_gate_, *egress_timer_, bytes); };
  if (ingress_gate_.limits())
    hooks.admit_sending = [this](size_t bytes) { return admit(ingress_gate_, *ingress_timer_, bytes); };
  hooks.link_ended = [this](const Error& why) { hooks_.link_ended(why); };
  // SYNs wait for their upstream: as many as there may be connections.
  TcpEngine::Limits limits;
  limits.pending = config.max_connections;
  MSB_TRY(stack_, GuestStack::create(reactor, std::move(link), addresses, std::move(hooks), limits));
  if (!outside.ports.empty()) {
    MSB_TRY(ports_,
            PublishedPorts::create(*context_, *egress_, stack, std::move(outside.ports), {addresses.v4, addresses.v6}));
  }
  return {};
}

void Gateway::deny(DenialEvent event) {
  ++denials_;
  hooks_.on_denial(std::move(event));
}

bool Gateway::admit(RateGate& gate, Timer& timer, size_t bytes) {
  const auto now = RateGate::Clock::now();
  if (gate.admit(bytes, now)) return true;
  (void)timer.arm(gate.wait(now));
  return false;
}

}  // namespace msb::net
