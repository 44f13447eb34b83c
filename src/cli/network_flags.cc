#include "cli/network_flags.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/name_distance.h"
#include "base/units.h"
#include "net/policy/policy.h"
#include "state/proxy_url.h"

namespace msb::cli {
namespace {

constexpr std::array<std::string_view, 5> kProfiles = {"public", "private", "host", "all", "none"};

tl::unexpected<Error> bad(std::string message) {
  return fail(ErrorKind::invalid_config, std::move(message));
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> out;
  for (size_t at = 0;;) {
    const size_t end = text.find(separator, at);
    out.push_back(text.substr(at, end - at));
    if (end == std::string::npos) return out;
    at = end + 1;
  }
}

Result<NetworkPolicy> parse_profiles(const std::string& text) {
  std::vector<NetworkProfile> profiles;
  const auto words = split(text, ',');
  for (const std::string& word : words) {
    if (word == "public") {
      profiles.push_back(NetworkProfile::public_);
    } else if (word == "private") {
      profiles.push_back(NetworkProfile::private_);
    } else if (word == "host") {
      profiles.push_back(NetworkProfile::host);
    } else if (word == "all" || word == "none") {
      if (words.size() > 1) return bad(cat("--net ", word, " stands alone"));
      return word == "all" ? NetworkPolicy::allow_all() : NetworkPolicy::none();
    } else {
      Error error(ErrorKind::invalid_config,
                  cat("'", word, "' is no network profile; use public, private, host, all or none"));
      if (const auto meant = meant_word(word, kProfiles)) error.hint(cat("did you mean '", *meant, "'?"));
      return fail(std::move(error));
    }
  }
  return NetworkPolicy::from_profiles(profiles);
}

Result<NetworkAction> parse_action(const std::string& flag, const std::string& text) {
  if (text == "allow") return NetworkAction::allow;
  if (text == "deny") return NetworkAction::deny;
  return bad(cat(flag, " is allow or deny, not '", text, "'"));
}

// "10M/1s", "10M/s", "10M".
struct Rate {
  std::string amount;
  std::chrono::milliseconds time{1000};
};
Result<Rate> parse_rate(const std::string& text) {
  const size_t slash = text.find('/');
  Rate out{.amount = text.substr(0, slash)};
  if (slash == std::string::npos) return out;
  std::string time = text.substr(slash + 1);
  if (!time.empty() && (time[0] < '0' || time[0] > '9')) time.insert(0, 1, '1');
  MSB_TRY(out.time, parse_duration(time));
  return out;
}

template <class Parse>
Result<std::optional<TokenBucket>> parse_bucket(const std::string& flag, const std::string& rate,
                                                const std::string& burst, Parse parse) {
  if (rate.empty()) {
    if (!burst.empty()) return bad(cat("--", flag, "-burst without --", flag, " limits nothing"));
    return std::nullopt;
  }
  MSB_TRY(const Rate parsed, parse_rate(rate));
  TokenBucket bucket{.refill_time = parsed.time};
  MSB_TRY(bucket.size, parse(parsed.amount, cat("--", flag)));
  if (!burst.empty()) {
    MSB_TRY(bucket.one_time_burst, parse(burst, cat("--", flag, "-burst")));
  }
  return bucket;
}

}  // namespace

void NetworkFlags::add_limit(CLI::App& command, const std::string& direction, Limit& limit) {
  const std::string flag = cat("--net-", direction, "-");
  command.add_option(flag + "bandwidth", limit.bandwidth, cat("SIZE[/TIME]: bytes of ", direction, ", e.g. 10M/1s"));
  command.add_option(flag + "bandwidth-burst", limit.bandwidth_burst, "SIZE that passes once beyond that");
  command.add_option(flag + "ops", limit.operations, cat("COUNT[/TIME]: frames of ", direction));
  command.add_option(flag + "ops-burst", limit.operations_burst, "COUNT that passes once beyond that");
}

void NetworkFlags::add_to(CLI::App& command) {
  add_repeatable(command, "-p,--port", ports_, "[BIND:]HOST:GUEST[/udp]: publish a port of the guest (HOST 0: any)");
  auto* net =
      command.add_option("--net", profiles_, "public, private, host, joined by commas; or all, or none (public)");
  auto* none = command.add_flag("--no-net", none_, "No network")->excludes(net);
  add_repeatable(command, "--net-rule", rules_, "RULE[,RULE]: allow|deny[:DIRECTION]@TARGET[:PROTOCOL[:PORTS]]");
  command.add_option("--net-default", both_, "allow or deny what no rule is about, both ways")->excludes(none);
  command.add_option("--net-default-egress", default_egress_, "The same, of what the guest begins")->excludes(none);
  command.add_option("--net-default-ingress", default_ingress_, "The same, of published ports")->excludes(none);
  add_repeatable(command, "--dns-nameserver", nameservers_, "ADDRESS[:PORT] to ask instead of the host's");
  command.add_option("--dns-query-timeout-ms", query_timeout_ms_, "How long each has to answer (5000)");
  command.add_flag("--no-dns-rebind-protection", no_rebind_protection_, "Pass on answers that are not public");
  command.add_option("--net-ipv4-pool", ipv4_pool_, "Where a /30 is taken from (172.16.0.0/12)");
  command.add_option("--net-ipv6-pool", ipv6_pool_, "Where a /64 is taken from (fd42:6d73:62::/48)");
  command.add_option("--max-connections", max_connections_, "TCP connections at once, up to 4096 (256)");
  command.add_option("--net-proxy", proxy_, "http:// or socks5:// URL to go through, or none (HTTPS_PROXY, ALL_PROXY)");
  add_limit(command, "egress", egress_);
  add_limit(command, "ingress", ingress_);
}

Result<NetworkPolicy> NetworkFlags::base_policy() const {
  NetworkPolicy policy = NetworkPolicy::public_only();
  if (none_) policy = NetworkPolicy::none();
  if (!profiles_.empty()) {
    MSB_TRY(policy, parse_profiles(profiles_));
  } else if (has_defaults()) {
    policy.rules.clear();
  }
  if (!both_.empty()) {
    MSB_TRY(policy.default_egress, parse_action("--net-default", both_));
    policy.default_ingress = policy.default_egress;
  }
  if (!default_egress_.empty()) {
    MSB_TRY(policy.default_egress, parse_action("--net-default-egress", default_egress_));
  }
  if (!default_ingress_.empty()) {
    MSB_TRY(policy.default_ingress, parse_action("--net-default-ingress", default_ingress_));
  }
  return policy;
}

Result<RateLimiter> NetworkFlags::limiter(const std::string& direction, const Limit& limit) {
  RateLimiter out;
  MSB_TRY(out.bandwidth, parse_bucket(cat("net-", direction, "-bandwidth"), limit.bandwidth, limit.bandwidth_burst,
                                      [](const std::string& text, const std::string&) { return parse_bytes(text); }));
  MSB_TRY(out.operations, parse_bucket(cat("net-", direction, "-ops"), limit.operations, limit.operations_burst,
                                       [](const std::string& text, const std::string& flag) {
                                         return parse_integer(text, 1, UINT32_MAX, flag);
                                       }));
  return out;
}

Result<NetworkConfig> NetworkFlags::config() const {
  NetworkConfig config;
  MSB_TRY(config.policy, base_policy());
  std::vector<NetworkRule> rules;
  for (const std::string& text : rules_) {
    MSB_TRY(const auto parsed, NetworkRule::parse_all(text));
    rules.insert(rules.end(), parsed.begin(), parsed.end());
  }
  config.policy.rules.insert(config.policy.rules.begin(), rules.begin(), rules.end());
  // With rules there is something to reach after all.
  config.enabled = !none_ || !rules.empty();
  for (const std::string& text : ports_) {
    MSB_TRY(auto port, PortBinding::parse(text));
    config.ports.push_back(std::move(port));
  }
  config.dns.nameservers = nameservers_;
  config.dns.rebind_protection = !no_rebind_protection_;
  if (query_timeout_ms_) config.dns.query_timeout = std::chrono::milliseconds(*query_timeout_ms_);
  if (!ipv4_pool_.empty()) config.ipv4_pool = ipv4_pool_;
  if (!ipv6_pool_.empty()) config.ipv6_pool = ipv6_pool_;
  config.max_connections = max_connections_.value_or(config.max_connections);
  MSB_CHECK(state::check_proxy(proxy_));
  config.proxy = proxy_;
  MSB_TRY(config.egress, limiter("egress", egress_));
  MSB_TRY(config.ingress, limiter("ingress", ingress_));
  return config;
}

std::optional<std::string> NetworkFlags::warning(const NetworkConfig& config) const {
  if (rules_.empty() || none_ || !profiles_.empty() || has_defaults()) return std::nullopt;
  const auto own = config.policy.rules.size() - NetworkPolicy::public_only().rules.size();
  const bool allows = std::ranges::any_of(std::span(config.policy.rules).first(own),
                                          [](const NetworkRule& rule) { return rule.action == NetworkAction::allow; });
  if (!allows) return std::nullopt;
  return cat("--net-rule adds to the public profile and is no list of all that is allowed. The policy is: ",
             describe_policy(config), ". Begin with --net-default deny for such a list");
}

std::string describe_policy(const NetworkConfig& config) {
  if (!config.enabled) return "none";
  std::string text;
  if (const auto policy = net::Policy::compile(config, {})) {
    for (const std::string& rule : policy->effective_rules()) text += cat(text.empty() ? "" : ", ", rule);
  }
  const auto word = [](NetworkAction action) { return action == NetworkAction::allow ? "allow" : "deny"; };
  return cat(text, text.empty() ? "" : "; else ", word(config.policy.default_egress), " egress, ",
             word(config.policy.default_ingress), " ingress");
}

}  // namespace msb::cli
