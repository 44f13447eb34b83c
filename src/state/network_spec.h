// NetworkSpec: the network of one machine: what its user said of it, and the addresses of the link to its guest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <microsandbox/network.h>

namespace msb::state {

// One family on the link between the guest and the gateway, which is this sandbox's process. As texts: "172.16.0.2".
struct LinkSpec {
  std::string gateway;
  std::string guest;
  uint8_t prefix = 30;
};

// The proxy that a machine's connections go through, as it was found when the machine started.
struct ProxySpec {
  std::string url;                     // as ProxyUrl::parse() reads it: with its password
  std::vector<std::string> addresses;  // of its host; none: it has no address now
  std::string exceptions;              // as NO_PROXY has them

  bool operator==(const ProxySpec&) const = default;
};

struct NetworkSpec {
  NetworkConfig config;     // `proxy` is empty: what was meant by it is below
  std::string gateway_mac;  // "02:6d:73:00:01:01"
  std::string guest_mac;
  std::optional<LinkSpec> v4;  // at least one of the two
  std::optional<LinkSpec> v6;
  uint16_t mtu = 1500;
  std::optional<ProxySpec> proxy = {};
};

}  // namespace msb::state
