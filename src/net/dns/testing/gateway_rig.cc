#include "net/dns/testing/gateway_rig.h"

#include <stdexcept>

namespace msb::net::testing {

GatewayRig::GatewayRig() : reactor_(Reactor::create().value()) {
  config_.v4 = LinkAddresses{.gateway = Ip::v4(172, 16, 0, 1), .guest = Ip::v4(172, 16, 0, 2), .prefix = 30};
  config_.v6 = LinkAddresses{
      .gateway = Ip::parse("fd42:6d73:62::1").value(), .guest = Ip::parse("fd42:6d73:62::2").value(), .prefix = 64};
  config_.resolv_conf = "/nowhere";
}

void GatewayRig::start(std::string_view rules, const std::vector<Endpoint>& servers) {
  if (!rules.empty()) network_.policy.rules = NetworkRule::parse_all(rules).value();
  for (const Endpoint& server : servers) network_.dns.nameservers.push_back(server.to_string());
  config_.dns = network_.dns;
  policy_ = std::make_unique<Policy>(Policy::compile(network_, {config_.v4->gateway, config_.v6->gateway}).value());
  gateway_ = DnsGateway::create(*reactor_, config_, *policy_, pins_, [this](DenialEvent event) {
               denials_.push_back(std::move(event));
             }).value();
}

Bytes GatewayRig::ask(ByteView message, NetworkProtocol protocol, std::string_view aimed) {
  constexpr std::chrono::seconds kPatience{60};
  std::optional<Bytes> reply;
  bool late = false;
  const auto watchdog = Timer::create(*reactor_, [&late] { late = true; }).value();
  if (!watchdog->arm(kPatience)) throw std::runtime_error("no timer");
  const Ip to = aimed.empty() ? config_.v4->gateway : Ip::parse(aimed).value();
  const bool is_query =
      gateway_->ask({.protocol = protocol, .guest = {config_.v4->guest, 40000}, .aimed = {to, 53}, .message = message},
                    [&reply](Bytes bytes) { reply = std::move(bytes); });
  if (!is_query) return {};
  while (!reply && !late) {
    if (!reactor_->run_once()) throw std::runtime_error("the reactor failed");
  }
  if (!reply) throw std::runtime_error("no reply");
  return *reply;
}

}  // namespace msb::net::testing
