#include "net/policy/rule_check.h"

#include <algorithm>

#include "base/result.h"

namespace msb::net {
namespace {

using Kind = NetworkDestination::Kind;

// The destination as its own factory makes it: its text has to be canonical.
Result<NetworkDestination> made_anew(const NetworkDestination& destination) {
  switch (destination.kind) {
    case Kind::ip:
      return NetworkDestination::ip(destination.text);
    case Kind::cidr:
      return NetworkDestination::cidr(destination.text);
    case Kind::domain:
      return NetworkDestination::domain(destination.text);
    case Kind::domain_suffix:
      return NetworkDestination::domain_suffix(destination.text);
    case Kind::any:
    case Kind::group:
      break;
  }
  return destination;
}

}  // namespace

Result<> check_rule(const NetworkRule& rule) {
  const auto bad = [&](std::string_view why) {
    return fail(ErrorKind::network_policy, cat("rule '", rule.to_string(), "': ", why));
  };
  const bool only_egress = rule.direction == NetworkDirection::egress;
  const bool icmp = std::ranges::any_of(rule.protocols, [](NetworkProtocol protocol) {
    return protocol == NetworkProtocol::icmpv4 || protocol == NetworkProtocol::icmpv6;
  });
  if (icmp && !rule.ports.empty()) return bad("ICMP has no ports");
  if (icmp && !only_egress) return bad("ICMP is for egress only: nobody can ping a guest");
  for (const PortRange& range : rule.ports) {
    if (range.first == 0 || range.first > range.last) return bad("ports are 1 to 65535, the lower first");
  }
  const bool named = rule.destination.kind == Kind::domain || rule.destination.kind == Kind::domain_suffix;
  if (named && rule.direction == NetworkDirection::ingress)
    return bad("a peer has an address and no name: ingress rules are about addresses and groups");
  MSB_TRY(const NetworkDestination canonical, made_anew(rule.destination));
  if (canonical.text != rule.destination.text)
    return bad(cat("its destination is written '", canonical.text, "'; make destinations by their functions"));
  return {};
}

}  // namespace msb::net
