// Policy: a NetworkPolicy made ready to judge. A value; thread-safe to read.
//
//   MSB_TRY(auto policy, Policy::compile(config, {gateway_v4, gateway_v6}));
//   Verdict verdict = policy.egress({NetworkProtocol::tcp, remote.ip, remote.port}, pins);
//
// What is judged is the address that will be dialled, at the time it is dialled. A domain rule matches an address only
// while the sandbox's own DNS has given that address for such a name (PinTable), and, when the first bytes of a
// connection show a name (SNI, HTTP Host), only if that name matches, too: both must agree. docs/network.md has the
// whole model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <microsandbox/network.h>

#include "net/address.h"
#include "net/policy/compiled_rule.h"
#include "net/policy/pin_table.h"

namespace msb::net {

struct Verdict {
  enum class Kind {
    allow,
    deny,
    // Only the name in the connection's first bytes can tell: accept, read up to kPeekBytes for kPeekTime, then ask
    // egress_named(). Of TCP only.
    ask_name,
  };
  Kind kind = Kind::deny;
  // What decided, for events and for `msb net check`: the rule as its text ("deny@*.evil.com") and where it stands, or
  // "default egress".
  std::optional<size_t> rule = {};  // index into the effective rules
  std::string reason = {};
};

inline constexpr size_t kPeekBytes = 16 << 10;

// What a guest wants to reach.
struct Flow {
  NetworkProtocol protocol = NetworkProtocol::tcp;
  Ip remote;          // as dialled; the gateway's own address stands for the host's loopback
  uint16_t port = 0;  // 0 for ICMP
};

class Policy {
 public:
  // `gateways`: this sandbox's; what the group "host" is. network_policy: a rule that makes no sense.
  static Result<Policy> compile(const NetworkConfig& config, const std::vector<Ip>& gateways);

  // Loopback and unspecified addresses are never allowed, whatever the rules say: dialled here they would be the host's
  // own, which only the gateway stands for.
  Verdict egress(const Flow& flow, const PinTable& pins) const;
  // With what the first bytes said: the SNI or Host (without its port), or nothing when they show none.
  Verdict egress_named(const Flow& flow, const std::optional<std::string>& name, const PinTable& pins) const;
  // `peer`: who connects to a published port; `port`: the guest's.
  Verdict ingress(NetworkProtocol protocol, const Ip& peer, uint16_t port) const;
  // Whether the guest may ask for this name (as PinTable::canonical_name() has it), over `protocol`, through the
  // gateway.
  Verdict query(std::string_view name, NetworkProtocol protocol) const;
  // Rebind protection: whether an answer may give this address for that name. See DnsConfig::rebind_protection.
  bool may_answer(const Ip& address) const;

  // In the order they are asked, deny_domains first, as texts that NetworkRule::parse() reads.
  std::vector<std::string> effective_rules() const;

 private:
  // What is known of a connection's name.
  enum class Naming { unknown, shown, none };
  struct Name {
    Naming naming = Naming::none;
    std::string_view text = {};
  };
  Policy() = default;
  Address judged(const Ip& ip) const;
  Verdict decide(const Flow& flow, const Name& name, const PinTable& pins) const;
  Verdict by_rule(size_t index) const;
  static Verdict by_default(NetworkAction action, std::string_view reason);

  std::vector<CompiledRule> rules_;
  NetworkAction default_egress_ = NetworkAction::deny;
  NetworkAction default_ingress_ = NetworkAction::deny;
  bool rebind_protection_ = true;
  std::vector<Ip> gateways_;
};

}  // namespace msb::net
