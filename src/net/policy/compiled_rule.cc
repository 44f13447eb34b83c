#include "net/policy/compiled_rule.h"

#include <algorithm>

#include "net/policy/address_groups.h"
#include "net/policy/rule_check.h"

namespace msb::net {
namespace {

constexpr unsigned kMappedPrefix = 96;  // of ::ffff:0:0/96

// A range of IPv4 that was written as one of IPv6.
Cidr unmapped(const Cidr& range) {
  const Ip base = unmapped(range.base());
  if (base.family() == range.base().family() || range.prefix() < kMappedPrefix) return range;
  return {base, range.prefix() - kMappedPrefix};
}

}  // namespace

Result<CompiledRule> CompiledRule::compile(const NetworkRule& rule) {
  MSB_CHECK(check_rule(rule));
  CompiledRule out;
  out.action_ = rule.action;
  out.direction_ = rule.direction;
  out.ports_ = rule.ports;
  out.text_ = rule.to_string();
  if (!rule.protocols.empty()) {
    out.protocols_ = 0;
    for (const NetworkProtocol protocol : rule.protocols) out.protocols_ |= 1U << static_cast<unsigned>(protocol);
  }
  out.kind_ = rule.destination.kind;
  out.group_ = rule.destination.group;
  if (out.is_about_names()) out.name_ = rule.destination.text;
  if (out.kind_ == Kind::ip || out.kind_ == Kind::cidr) {
    MSB_TRY(const Cidr range, Cidr::parse(rule.destination.text));
    out.range_ = unmapped(range);
  }
  return out;
}

bool CompiledRule::covers(NetworkProtocol protocol, uint16_t port) const {
  if ((protocols_ >> static_cast<unsigned>(protocol) & 1) == 0) return false;
  if (ports_.empty()) return true;
  if (protocol == NetworkProtocol::icmpv4 || protocol == NetworkProtocol::icmpv6) return false;
  return std::ranges::any_of(ports_,
                             [port](const PortRange& range) { return port >= range.first && port <= range.last; });
}

bool CompiledRule::matches_name(std::string_view name) const {
  if (kind_ == Kind::domain) return name == name_;
  if (kind_ != Kind::domain_suffix || !name.ends_with(name_)) return false;
  return name.size() == name_.size() || name[name.size() - name_.size() - 1] == '.';
}

bool CompiledRule::matches_address(const Address& address) const {
  switch (kind_) {
    case Kind::any:
      return true;
    case Kind::group:
      return address.group == group_;
    case Kind::ip:
    case Kind::cidr:
      return range_.contains(address.ip) ||
             (action_ == NetworkAction::deny && address.embedded && range_.contains(*address.embedded));
    case Kind::domain:
    case Kind::domain_suffix:
      break;
  }
  return false;
}

}  // namespace msb::net
