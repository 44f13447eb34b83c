#include "net/policy/policy.h"

#include <algorithm>

#include "base/result.h"
#include "net/policy/address_groups.h"

namespace msb::net {
namespace {

constexpr uint16_t kDnsPort = 53;

Verdict::Kind verdict_of(NetworkAction action) {
  return action == NetworkAction::allow ? Verdict::Kind::allow : Verdict::Kind::deny;
}

}  // namespace

Result<Policy> Policy::compile(const NetworkConfig& config, const std::vector<Ip>& gateways) {
  Policy out;
  const auto add = [&](const NetworkRule& rule) -> Result<> {
    MSB_TRY(CompiledRule compiled, CompiledRule::compile(rule));
    out.rules_.push_back(std::move(compiled));
    return {};
  };
  for (const std::string& name : config.deny_domains) {
    MSB_TRY(NetworkDestination domain, NetworkDestination::domain(name));
    MSB_CHECK(add({.action = NetworkAction::deny, .destination = std::move(domain)}));
  }
  for (const std::string& suffix : config.deny_domain_suffixes) {
    MSB_TRY(NetworkDestination domain, NetworkDestination::domain_suffix(suffix));
    MSB_CHECK(add({.action = NetworkAction::deny, .destination = std::move(domain)}));
  }
  for (const NetworkRule& rule : config.policy.rules) MSB_CHECK(add(rule));
  out.default_egress_ = config.policy.default_egress;
  out.default_ingress_ = config.policy.default_ingress;
  out.rebind_protection_ = config.dns.rebind_protection;
  out.gateways_ = gateways;
  return out;
}

Address Policy::judged(const Ip& ip) const {
  const Ip plain = unmapped(ip);
  Address out{.ip = plain, .embedded = embedded_v4(plain), .group = group_of(plain)};
  if (std::ranges::find(gateways_, plain) != gateways_.end()) out.group = NetworkGroup::host;
  return out;
}

Verdict Policy::by_rule(size_t index) const {
  return {.kind = verdict_of(rules_[index].action()), .rule = index, .reason = rules_[index].text()};
}

Verdict Policy::by_default(NetworkAction action, std::string_view reason) {
  return {.kind = verdict_of(action), .reason = std::string(reason)};
}

Verdict Policy::egress(const Flow& flow, const PinTable& pins) const {
  const bool may_show = flow.protocol == NetworkProtocol::tcp;
  return decide(flow, {.naming = may_show ? Naming::unknown : Naming::none}, pins);
}

Verdict Policy::egress_named(const Flow& flow, const std::optional<std::string>& name, const PinTable& pins) const {
  if (!name) return decide(flow, {.naming = Naming::none}, pins);
  const std::string canonical = canonical_name(*name);
  return decide(flow, {.naming = Naming::shown, .text = canonical}, pins);
}

// A rule about names matches as follows. While the name is unknown, "perhaps" stands for the answers that a name could
// still change; such a rule is passed over, and remembered if it would have decided otherwise than the one that does.
//
//               address pinned to such a name                      not pinned
//   allow       name unknown: perhaps; shown: if it matches, too;  never
//               none: yes
//   deny        yes                                                name unknown: perhaps; shown: if it matches; none:
//   no
Verdict Policy::decide(const Flow& flow, const Name& name, const PinTable& pins) const {
  const Address address = judged(flow.remote);
  if (address.ip.is_unspecified() || address.group == NetworkGroup::loopback)
    return by_default(NetworkAction::deny, "no address of another machine");
  bool perhaps_allowed = false;
  bool perhaps_denied = false;
  const auto settle = [&](Verdict verdict) {
    const bool otherwise = verdict.kind == Verdict::Kind::allow ? perhaps_denied : perhaps_allowed;
    if (otherwise) verdict.kind = Verdict::Kind::ask_name;
    return verdict;
  };
  for (size_t i = 0; i < rules_.size(); ++i) {
    const CompiledRule& rule = rules_[i];
    if (!rule.is_for(NetworkDirection::egress) || !rule.covers(flow.protocol, flow.port)) continue;
    if (!rule.is_about_names()) {
      if (rule.matches_address(address)) return settle(by_rule(i));
      continue;
    }
    const bool pinned = pins.any_name(address.ip, [&](std::string_view pin) { return rule.matches_name(pin); });
    const bool shown = name.naming == Naming::shown && rule.matches_name(name.text);
    const bool allows = rule.action() == NetworkAction::allow;
    if (allows ? pinned && (shown || name.naming == Naming::none) : pinned || shown) return settle(by_rule(i));
    if (name.naming == Naming::unknown && pinned == allows) (allows ? perhaps_allowed : perhaps_denied) = true;
  }
  return settle(by_default(default_egress_, "default egress"));
}

Verdict Policy::ingress(NetworkProtocol protocol, const Ip& peer, uint16_t port) const {
  const Address address = judged(peer);
  for (size_t i = 0; i < rules_.size(); ++i) {
    const CompiledRule& rule = rules_[i];
    if (rule.is_for(NetworkDirection::ingress) && rule.covers(protocol, port) && rule.matches_address(address))
      return by_rule(i);
  }
  return by_default(default_ingress_, "default ingress");
}

Verdict Policy::query(std::string_view name, NetworkProtocol protocol) const {
  for (size_t i = 0; i < rules_.size(); ++i) {
    const CompiledRule& rule = rules_[i];
    if (!rule.is_for(NetworkDirection::egress)) continue;
    // To ask for a name is part of reaching it, on whatever port.
    if (rule.is_about_names() ? rule.matches_name(name)
                              : (rule.is_about_any() || rule.is_about_host()) && rule.covers(protocol, kDnsPort))
      return by_rule(i);
  }
  return by_default(default_egress_, "default egress");
}

bool Policy::may_answer(const Ip& ip) const {
  const Address address = judged(ip);
  if (!rebind_protection_ || address.group == NetworkGroup::public_) return true;
  // The first rule that is about just this address, on all its ports: one that opens a single port of it must not let a
  // domain rule, by a name's answer, open the others.
  for (const CompiledRule& rule : rules_) {
    if (rule.is_for(NetworkDirection::egress) && rule.is_unrestricted() && !rule.is_about_any() &&
        rule.matches_address(address))
      return rule.action() == NetworkAction::allow;
  }
  return false;
}

std::vector<std::string> Policy::effective_rules() const {
  std::vector<std::string> out;
  for (const CompiledRule& rule : rules_) out.push_back(rule.text());
  return out;
}

}  // namespace msb::net
