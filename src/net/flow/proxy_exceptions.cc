#include "net/flow/proxy_exceptions.h"

#include <algorithm>

namespace msb::net {
namespace {

constexpr std::string_view kSeparators = ", \t\r\n";

bool is_or_below(std::string_view name, std::string_view domain) {
  return name == domain || (name.ends_with(domain) && name[name.size() - domain.size() - 1] == '.');
}

}  // namespace

ProxyExceptions ProxyExceptions::parse(std::string_view text) {
  ProxyExceptions out;
  for (;;) {
    text.remove_prefix(std::min(text.find_first_not_of(kSeparators), text.size()));
    if (text.empty()) return out;
    std::string_view entry = text.substr(0, text.find_first_of(kSeparators));
    text.remove_prefix(entry.size());
    if (entry == "*") {
      out.everything_ = true;
      continue;
    }
    if (entry.starts_with('[') && entry.ends_with(']')) entry = entry.substr(1, entry.size() - 2);
    if (const auto range = Cidr::parse(entry)) {
      out.ranges_.push_back(*range);
      continue;
    }
    if (entry.starts_with("*.")) entry.remove_prefix(1);
    if (std::string name = canonical_name(entry); !name.empty()) out.names_.push_back(std::move(name));
  }
}

bool ProxyExceptions::has(const Ip& ip, const PinTable& pins) const {
  if (everything_ || std::ranges::any_of(ranges_, [&](const Cidr& range) { return range.contains(ip); })) return true;
  if (names_.empty()) return false;
  return pins.any_name(ip, [&](std::string_view name) {
    return std::ranges::any_of(names_, [&](const std::string& domain) { return is_or_below(name, domain); });
  });
}

}  // namespace msb::net
