// CompiledRule: a NetworkRule whose texts have become addresses and names, and the three questions one can ask it. What
// a policy makes of the answers is in policy.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <microsandbox/network.h>

#include "net/address.h"

namespace msb::net {

// An address together with what it was found to be.
struct Address {
  Ip ip;                              // unmapped()
  std::optional<Ip> embedded;         // embedded_v4()
  std::optional<NetworkGroup> group;  // group_of(), or host
};

class CompiledRule {
 public:
  // network_policy: check_rule() has something against it.
  static Result<CompiledRule> compile(const NetworkRule& rule);

  NetworkAction action() const { return action_; }
  bool is_for(NetworkDirection direction) const {  // egress or ingress
    return direction_ == direction || direction_ == NetworkDirection::any;
  }
  const std::string& text() const { return text_; }

  // Whether its protocols and ports have these. A rule with ports says nothing of ICMP.
  bool covers(NetworkProtocol protocol, uint16_t port) const;
  // Neither protocols nor ports: it is about addresses as such.
  bool is_unrestricted() const { return protocols_ == kAllProtocols && ports_.empty(); }

  bool is_about_names() const { return kind_ == Kind::domain || kind_ == Kind::domain_suffix; }
  bool is_about_any() const { return kind_ == Kind::any; }
  bool is_about_host() const { return kind_ == Kind::group && group_ == NetworkGroup::host; }
  // Whether it is about this name, which is canonical; never if it is not about names.
  bool matches_name(std::string_view name) const;
  // Whether it is about this address; never if it is about names. What denies a range also denies addresses that lead
  // there (embedded_v4()); what allows one does not allow those.
  bool matches_address(const Address& address) const;

 private:
  using Kind = NetworkDestination::Kind;
  static constexpr uint8_t kAllProtocols = 0x0f;

  NetworkAction action_ = NetworkAction::deny;
  NetworkDirection direction_ = NetworkDirection::egress;
  uint8_t protocols_ = kAllProtocols;  // a bit for each NetworkProtocol
  std::vector<PortRange> ports_;
  Kind kind_ = Kind::any;
  NetworkGroup group_ = NetworkGroup::public_;
  Cidr range_;
  std::string name_;
  std::string text_;
};

}  // namespace msb::net
