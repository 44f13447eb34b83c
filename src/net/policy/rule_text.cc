// NetworkRule's text: `<allow|deny>[:<egress|ingress|any>]@<target>[:<proto>[:<ports>]]`, parted by commas. More than
// one protocol or range of ports is joined by "+", which every rule of the API can be written with.
#include <algorithm>
#include <array>
#include <charconv>

#include <microsandbox/network.h>

#include "base/name_distance.h"
#include "base/result.h"
#include "net/policy/rule_check.h"

namespace msb {
namespace {

using Kind = NetworkDestination::Kind;

constexpr std::array<std::string_view, 2> kActions = {"allow", "deny"};
constexpr std::array<std::string_view, 3> kDirections = {"egress", "ingress", "any"};
constexpr std::array<std::string_view, 5> kProtocols = {"tcp", "udp", "icmpv4", "icmpv6", "any"};
// "meta" is metadata's short form.
constexpr std::array<std::string_view, 10> kTargets = {"any",        "dns",      "public", "private",   "loopback",
                                                       "link-local", "metadata", "meta",   "multicast", "host"};
constexpr std::array<NetworkGroup, 7> kGroups = {
    NetworkGroup::host,       NetworkGroup::metadata,  NetworkGroup::loopback, NetworkGroup::private_,
    NetworkGroup::link_local, NetworkGroup::multicast, NetworkGroup::public_};

const NetworkRule& dns_rule() {
  static const NetworkRule rule{.action = NetworkAction::allow,
                                .direction = NetworkDirection::egress,
                                .destination = NetworkDestination::of(NetworkGroup::host),
                                .protocols = {NetworkProtocol::udp, NetworkProtocol::tcp},
                                .ports = {{53, 53}}};
  return rule;
}

bool is_number(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || c == '-'; }) &&
         text.front() != '-';
}

bool is_hexadecimal(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); });
}

Error complaint(std::string_view rule, std::string_view why) {
  return {ErrorKind::network_policy, cat("rule '", rule, "': ", why)};
}

// The index of `word` in `words`; else an error that names the one that was meant.
template <size_t N>
Result<size_t> one_of(std::string_view rule, std::string_view word, const std::array<std::string_view, N>& words) {
  const auto found = std::ranges::find(words, word);
  if (found != words.end()) return static_cast<size_t>(found - words.begin());
  std::string all;
  for (const std::string_view each : words) all += cat(all.empty() ? "" : ", ", each);
  Error error = complaint(rule, cat("'", word, "' is none of ", all));
  if (const auto meant = meant_word(word, words)) error.hint(cat("did you mean '", *meant, "'?"));
  return fail(std::move(error));
}

struct Parts {
  std::string_view action;
  std::string_view direction;  // empty: egress
  std::string_view target;
  bool bracketed = false;
  std::string_view protocol;  // empty: any
  std::string_view ports;     // empty: any
};

Result<Parts> split(std::string_view rule) {
  Parts out;
  const size_t at = rule.find('@');
  if (at == std::string_view::npos)
    return fail(complaint(rule, "it has no '@'").hint("as in allow@example.com or deny:ingress@any:tcp:22"));
  const std::string_view head = rule.substr(0, at);
  const size_t colon = head.find(':');
  out.action = head.substr(0, colon);
  if (colon != std::string_view::npos) {
    out.direction = head.substr(colon + 1);
    if (out.direction.empty()) return fail(complaint(rule, "there is no direction behind the ':'"));
  }
  std::string_view rest = rule.substr(at + 1);
  if (rest.starts_with('[')) {
    const size_t end = rest.find(']');
    if (end == std::string_view::npos) return fail(complaint(rule, "the ']' is missing"));
    out.target = rest.substr(1, end - 1);
    out.bracketed = true;
    rest = rest.substr(end + 1);
    if (!rest.empty() && !rest.starts_with(':')) return fail(complaint(rule, "after ']' comes ':' or nothing"));
  } else {
    const size_t end = rest.find(':');
    out.target = rest.substr(0, end);
    // "::1:443" could be read in two ways.
    if (is_hexadecimal(out.target) && (rest.find("::") != std::string_view::npos || std::ranges::count(rest, ':') > 2))
      return fail(complaint(rule, "an IPv6 address stands in brackets").hint("as in allow@[2001:db8::1]:tcp:443"));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end);
  }
  if (out.target.empty()) return fail(complaint(rule, "there is no target behind the '@'"));
  if (rest.empty()) return out;
  rest.remove_prefix(1);
  const size_t second = rest.find(':');
  out.protocol = rest.substr(0, second);
  if (is_number(out.protocol)) {
    const std::string target = out.bracketed ? cat("[", out.target, "]") : std::string(out.target);
    return fail(complaint(rule, cat("'", out.protocol, "' stands where the protocol should"))
                    .hint(cat("did you mean ", rule.substr(0, at + 1), target, ":tcp:", out.protocol, "?")));
  }
  if (out.protocol.empty()) return fail(complaint(rule, "there is no protocol behind the ':'"));
  if (second == std::string_view::npos) return out;
  out.ports = rest.substr(second + 1);
  if (out.ports.empty()) return fail(complaint(rule, "there are no ports behind the ':'"));
  return out;
}

Result<NetworkDestination> parse_target(std::string_view rule, const Parts& parts) {
  const std::string_view target = parts.target;
  const bool range = target.find('/') != std::string_view::npos;
  const auto said = [&](Result<NetworkDestination> made) -> Result<NetworkDestination> {
    if (!made) return fail(std::move(made).error().context(cat("rule '", rule, "'")));
    return made;
  };
  if (parts.bracketed) {
    if (target.find(':') == std::string_view::npos)
      return fail(complaint(rule, "only IPv6 addresses stand in brackets"));
    return said(range ? NetworkDestination::cidr(target) : NetworkDestination::ip(target));
  }
  if (target == "any") return NetworkDestination::any();
  if (target == "meta") return NetworkDestination::of(NetworkGroup::metadata);
  for (const NetworkGroup group : kGroups) {
    if (target == to_string(group)) return NetworkDestination::of(group);
  }
  if (target.starts_with("domain=")) return said(NetworkDestination::domain(target.substr(7)));
  if (target.starts_with("suffix=")) return said(NetworkDestination::domain_suffix(target.substr(7)));
  if (target.starts_with("*.")) return said(NetworkDestination::domain_suffix(target));
  if (target.starts_with('.')) {
    return fail(complaint(rule, cat("'", target, "' begins with a dot"))
                    .hint(cat("did you mean '*", target, "', the name and all below it?")));
  }
  if (range) return said(NetworkDestination::cidr(target));
  if (auto ip = NetworkDestination::ip(target)) return ip;
  if (target.find('.') != std::string_view::npos) return said(NetworkDestination::domain(target));

  Error error = complaint(rule, cat("'", target, "' could be a mistyped group or a name"));
  if (const auto meant = meant_word(target, kTargets)) error.hint(cat("did you mean '", *meant, "'?"));
  return fail(std::move(error).hint(cat("the name is written domain=", target)));
}

// Calls `each` for the parts of a list joined by "+", until one fails.
template <class Each>
Result<> for_each_joined(std::string_view list, Each each) {
  for (;;) {
    const size_t plus = list.find('+');
    MSB_CHECK(each(list.substr(0, plus)));
    if (plus == std::string_view::npos) return {};
    list.remove_prefix(plus + 1);
  }
}

Result<PortRange> parse_ports(std::string_view rule, std::string_view text) {
  const size_t dash = text.find('-');
  const std::string_view ends[] = {text.substr(0, dash), dash == std::string_view::npos ? text : text.substr(dash + 1)};
  std::array<uint16_t, 2> ports{};
  for (size_t i = 0; i < 2; ++i) {
    const auto [end, error] = std::from_chars(ends[i].data(), ends[i].data() + ends[i].size(), ports[i]);
    if (error != std::errc() || end != ends[i].data() + ends[i].size() || ports[i] == 0)
      return fail(complaint(rule, cat("'", text, "' is no port (1 to 65535), range (1-1023) or 'any'")));
  }
  if (ports[0] > ports[1]) return fail(complaint(rule, cat("the range ", text, " ends before it begins")));
  return PortRange{ports[0], ports[1]};
}

Result<NetworkRule> parse_rule(std::string_view text) {
  MSB_TRY(const Parts parts, split(text));
  MSB_TRY(const size_t action, one_of(text, parts.action, kActions));
  MSB_TRY(const size_t direction, one_of(text, parts.direction.empty() ? "egress" : parts.direction, kDirections));

  NetworkRule rule;
  if (parts.target == "dns" && !parts.bracketed) {
    if (!parts.protocol.empty())
      return fail(complaint(text, "'dns' stands for udp and tcp port 53 of the host; nothing follows it"));
    if (direction != 0) return fail(complaint(text, "'dns' is what the guest asks: its direction is egress"));
    rule = dns_rule();
    rule.action = action == 0 ? NetworkAction::allow : NetworkAction::deny;
    return rule;
  }
  rule.action = action == 0 ? NetworkAction::allow : NetworkAction::deny;
  rule.direction = static_cast<NetworkDirection>(direction);
  MSB_TRY(rule.destination, parse_target(text, parts));
  if (!parts.protocol.empty() && parts.protocol != "any") {
    MSB_CHECK(for_each_joined(parts.protocol, [&](std::string_view word) -> Result<> {
      if (word == "icmp")
        return fail(complaint(text, "'icmp' is not one protocol").hint("did you mean 'icmpv4' or 'icmpv6'?"));
      MSB_TRY(const size_t protocol, one_of(text, word, kProtocols));
      if (word == "any") return fail(complaint(text, "'any' stands alone"));
      rule.protocols.push_back(static_cast<NetworkProtocol>(protocol));
      return {};
    }));
  }
  if (!parts.ports.empty() && parts.ports != "any") {
    MSB_CHECK(for_each_joined(parts.ports, [&](std::string_view word) -> Result<> {
      MSB_TRY(const PortRange range, parse_ports(text, word));
      rule.ports.push_back(range);
      return {};
    }));
  }
  if (auto checked = net::check_rule(rule); !checked) return fail(std::move(checked).error());
  return rule;
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

std::string target_text(const NetworkDestination& destination) {
  const std::string& text = destination.text;
  switch (destination.kind) {
    case Kind::any:
      return "any";
    case Kind::ip:
    case Kind::cidr:
      return text.find(':') == std::string::npos ? text : cat("[", text, "]");
    case Kind::domain:
      return text.find('.') == std::string::npos ? cat("domain=", text) : text;
    case Kind::domain_suffix:
      return cat("*.", text);
    case Kind::group:
      return std::string(to_string(destination.group));
  }
  return "";
}

}  // namespace

Result<NetworkRule> NetworkRule::parse(std::string_view text) {
  return parse_rule(trimmed(text));
}

Result<std::vector<NetworkRule>> NetworkRule::parse_all(std::string_view text) {
  std::vector<NetworkRule> out;
  for (std::string_view rest = text;;) {
    const size_t comma = rest.find(',');
    MSB_TRY(NetworkRule rule, parse(rest.substr(0, comma)));
    out.push_back(std::move(rule));
    if (comma == std::string_view::npos) return out;
    rest.remove_prefix(comma + 1);
  }
}

std::string NetworkRule::to_string() const {
  std::string out(kActions[action == NetworkAction::allow ? 0 : 1]);
  if (direction != NetworkDirection::egress) out += cat(":", kDirections[static_cast<size_t>(direction)]);
  out += '@';
  NetworkRule dns = dns_rule();
  dns.action = action;
  if (*this == dns) return out + "dns";
  out += target_text(destination);
  if (protocols.empty() && ports.empty()) return out;
  std::string joined;
  for (const NetworkProtocol protocol : protocols)
    joined += cat(joined.empty() ? ":" : "+", kProtocols[static_cast<size_t>(protocol)]);
  out += joined.empty() ? ":any" : joined;
  joined.clear();
  for (const PortRange& range : ports) {
    joined += cat(joined.empty() ? ":" : "+", range.first);
    if (range.last != range.first) joined += cat("-", range.last);
  }
  return out + joined;
}

}  // namespace msb
