// GatewayRig: a DnsGateway between a test, which is the guest, and its upstreams.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/reactor.h"
#include "net/dns/dns_gateway.h"
#include "net/events.h"

namespace msb::net::testing {

class GatewayRig {
 public:
  GatewayRig();
  // Then config and the reactor are final. `rules` as NetworkRule::parse_all() reads them, or empty.
  void start(std::string_view rules, const std::vector<Endpoint>& servers);

  // The reply; empty when the gateway says that this was no query. Runs the reactor until it is there; throws when it
  // does not come at all.
  Bytes ask(ByteView message, NetworkProtocol protocol = NetworkProtocol::udp, std::string_view aimed = {});
  std::vector<std::string> names(std::string_view ip) const { return pins_.names(Ip::parse(ip).value()); }

  Reactor& reactor() { return *reactor_; }
  DnsGateway& gateway() { return *gateway_; }
  NetworkConfig& network() { return network_; }
  DnsGateway::Config& config() { return config_; }
  const std::vector<DenialEvent>& denials() const { return denials_; }

 private:
  std::unique_ptr<Reactor> reactor_;
  NetworkConfig network_;
  DnsGateway::Config config_;
  std::unique_ptr<Policy> policy_;
  PinTable pins_;
  std::vector<DenialEvent> denials_;
  std::unique_ptr<DnsGateway> gateway_;
};

}  // namespace msb::net::testing
