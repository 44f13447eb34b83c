// NetworkDestination's factories: texts become canonical here, and nowhere else.
#include <algorithm>
#include <array>

#include <microsandbox/network.h>

#include "base/result.h"
#include "net/address.h"
#include "net/policy/pin_table.h"

namespace msb {
namespace {

bool is_label(std::string_view label) {
  const auto good = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; };
  return !label.empty() && label.size() <= 63 && std::ranges::all_of(label, good);
}

size_t count_labels(std::string_view name) {
  return static_cast<size_t>(std::ranges::count(name, '.')) + 1;
}

// Canonical, of labels that DNS can carry (RFC 1035, 2.3.4), the last of which is no number: that would be a mistyped
// address.
Result<std::string> domain_name(std::string_view text) {
  constexpr size_t kLongest = 253;
  const auto bad = [&](std::string_view why) {
    return fail(ErrorKind::network_policy, cat("'", text, "' is no domain name: ", why));
  };
  std::string name = net::canonical_name(text);
  if (name.empty() || name.size() > kLongest) return bad("it has to have 1 to 253 characters");
  std::string_view last;
  for (std::string_view rest = name;;) {
    const size_t dot = rest.find('.');
    last = rest.substr(0, dot);
    if (!is_label(last)) return bad("labels are 1 to 63 of a-z, 0-9, - and _ (write others as xn--...)");
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  if (std::ranges::all_of(last, [](char c) { return c >= '0' && c <= '9'; })) return bad("it ends in a number");
  return name;
}

}  // namespace

std::string_view to_string(NetworkGroup group) {
  switch (group) {
    case NetworkGroup::host:
      return "host";
    case NetworkGroup::metadata:
      return "metadata";
    case NetworkGroup::loopback:
      return "loopback";
    case NetworkGroup::private_:
      return "private";
    case NetworkGroup::link_local:
      return "link-local";
    case NetworkGroup::multicast:
      return "multicast";
    case NetworkGroup::public_:
      return "public";
  }
  return "";
}

NetworkDestination NetworkDestination::any() {
  return {};
}

Result<NetworkDestination> NetworkDestination::ip(std::string_view text) {
  auto parsed = net::Ip::parse(text);
  if (!parsed) return fail(std::move(parsed).error().as(ErrorKind::network_policy));
  return NetworkDestination{.kind = Kind::ip, .text = parsed->to_string()};
}

Result<NetworkDestination> NetworkDestination::cidr(std::string_view text) {
  auto parsed = net::Cidr::parse(text);
  if (!parsed) return fail(std::move(parsed).error().as(ErrorKind::network_policy));
  return NetworkDestination{.kind = Kind::cidr, .text = parsed->to_string()};
}

Result<NetworkDestination> NetworkDestination::domain(std::string_view name) {
  MSB_TRY(std::string canonical, domain_name(name));
  return NetworkDestination{.kind = Kind::domain, .text = std::move(canonical)};
}

Result<NetworkDestination> NetworkDestination::domain_suffix(std::string_view suffix) {
  std::string_view name = suffix;
  if (name.starts_with("*.")) name.remove_prefix(2);
  MSB_TRY(std::string canonical, domain_name(name));
  if (count_labels(canonical) < 2) {
    return fail(Error(ErrorKind::network_policy, cat("'", suffix, "': a suffix has two labels at least"))
                    .hint(cat("as in *.example.", canonical)));
  }
  return NetworkDestination{.kind = Kind::domain_suffix, .text = std::move(canonical)};
}

NetworkDestination NetworkDestination::of(NetworkGroup group) {
  return {.kind = Kind::group, .group = group};
}

}  // namespace msb
