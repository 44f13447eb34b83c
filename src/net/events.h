// Events: what a sandbox's network refused, for its log (network.log, JSON lines) and its API.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <microsandbox/network.h>

#include "net/address.h"

namespace msb::net {

struct DenialEvent {
  NetworkDirection direction = NetworkDirection::egress;
  std::optional<NetworkProtocol> protocol = {};
  std::string name = {};                // of a query, or what SNI or Host said; empty: none
  std::optional<Endpoint> remote = {};  // egress: the other end; ingress: the peer. None of a DNS query's name
  std::optional<uint16_t> guest_port = {};
  std::string rule = {};  // what decided (Verdict::reason), or the limit that was reached
};

}  // namespace msb::net
