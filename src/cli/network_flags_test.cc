#include "cli/network_flags.h"

#include <gmock/gmock.h>

#include <algorithm>

namespace msb::cli {
namespace {

using ::testing::HasSubstr;

struct Parsed {
  Result<NetworkConfig> config = NetworkConfig();
  std::optional<std::string> warning;
  std::string policy() const { return config ? describe_policy(*config) : config.error().to_string(); }
};

Parsed parse(std::vector<std::string> words) {
  CLI::App app;
  auto* command = app.add_subcommand("run");
  NetworkFlags flags;
  flags.add_to(*command);
  words.insert(words.begin(), "run");
  std::reverse(words.begin(), words.end());
  app.parse(words);
  Parsed out{.config = flags.config(), .warning = {}};
  if (out.config) out.warning = flags.warning(*out.config);
  return out;
}

TEST(NetworkFlags, without_any_the_public_profile_holds) {
  const auto parsed = parse({});
  ASSERT_TRUE(parsed.config);
  EXPECT_EQ(*parsed.config, NetworkConfig());
  EXPECT_EQ(parsed.policy(), "allow@dns, allow@public; else deny egress, allow ingress");
  EXPECT_FALSE(parsed.warning);
}

TEST(NetworkFlags, profiles_compose_and_all_and_none_stand_alone) {
  EXPECT_EQ(parse({"--net", "host,public"}).policy(),
            "allow@dns, allow@public, allow@host; else deny egress, allow ingress");
  EXPECT_EQ(parse({"--net", "all"}).policy(), "allow egress, allow ingress");
  EXPECT_EQ(parse({"--net", "none"}).policy(), "deny egress, deny ingress");
  EXPECT_FALSE(parse({"--net", "public,all"}).config);
  const auto mistyped = parse({"--net", "pubic"});
  ASSERT_FALSE(mistyped.config);
  EXPECT_EQ(mistyped.config.error().hints().front(), "did you mean 'public'?");
}

TEST(NetworkFlags, no_net_is_no_device_unless_a_rule_needs_one) {
  EXPECT_FALSE(parse({"--no-net"}).config->enabled);
  EXPECT_EQ(parse({"--no-net", "--net-rule", "allow@dns"}).policy(), "allow@dns; else deny egress, deny ingress");
  EXPECT_THROW(parse({"--no-net", "--net-default", "allow"}), CLI::ParseError);
  EXPECT_THROW(parse({"--no-net", "--net", "public"}), CLI::ParseError);
}

TEST(NetworkFlags, a_proxy_is_taken_as_it_is_or_refused_without_its_password) {
  EXPECT_EQ(parse({}).config->proxy, "");
  EXPECT_EQ(parse({"--net-proxy", "none"}).config->proxy, "none");
  EXPECT_EQ(parse({"--net-proxy", "socks5://u:p@proxy:1080"}).config->proxy, "socks5://u:p@proxy:1080");
  EXPECT_THAT(parse({"--net-proxy", "ftp://u:secret@proxy:1"}).policy(), HasSubstr("'ftp://***@proxy:1' is no proxy"));
}

TEST(NetworkFlags, defaults_begin_with_nothing_but_profiles_stay) {
  EXPECT_EQ(parse({"--net-default", "deny"}).policy(), "deny egress, deny ingress");
  EXPECT_EQ(parse({"--net-default-egress", "allow"}).policy(), "allow egress, allow ingress");
  EXPECT_EQ(parse({"--net", "public", "--net-default-ingress", "deny"}).policy(),
            "allow@dns, allow@public; else deny egress, deny ingress");
  EXPECT_EQ(parse({"--net-default", "maybe"}).policy(), "--net-default is allow or deny, not 'maybe'");
}

TEST(NetworkFlags, rules_stand_before_the_profile_in_their_order) {
  const auto parsed = parse({"--net-rule", "deny@*.evil.com,deny@1.1.1.1", "--net-rule", "allow@private"});
  EXPECT_EQ(parsed.policy(),
            "deny@*.evil.com, deny@1.1.1.1, allow@private, allow@dns, allow@public; else deny egress, allow ingress");
}

TEST(NetworkFlags, a_lone_rule_that_allows_is_warned_of) {
  const auto lone = parse({"--net-rule", "allow@api.github.com"});
  ASSERT_TRUE(lone.warning);
  EXPECT_THAT(*lone.warning, HasSubstr("allow@api.github.com, allow@dns, allow@public; else deny egress"));
  EXPECT_FALSE(parse({"--net-rule", "deny@api.github.com"}).warning);
  EXPECT_FALSE(parse({"--net-rule", "allow@api.github.com", "--net-default", "deny"}).warning);
  EXPECT_FALSE(parse({"--net-rule", "allow@api.github.com", "--net", "public"}).warning);
  EXPECT_FALSE(parse({"--net-rule", "allow@api.github.com", "--no-net"}).warning);
}

TEST(NetworkFlags, limits_are_rates_with_bursts) {
  const auto parsed =
      parse({"--net-egress-bandwidth", "10M/2s", "--net-egress-bandwidth-burst", "64K", "--net-ingress-ops", "1000/s",
             "--net-ingress-ops-burst", "5", "--net-ingress-bandwidth", "1500"});
  ASSERT_TRUE(parsed.config) << parsed.config.error().to_string();
  EXPECT_EQ(parsed.config->egress.bandwidth, (TokenBucket{10 << 20, std::chrono::seconds(2), 64 << 10}));
  EXPECT_FALSE(parsed.config->egress.operations);
  EXPECT_EQ(parsed.config->ingress.operations, (TokenBucket{1000, std::chrono::seconds(1), 5}));
  EXPECT_EQ(parsed.config->ingress.bandwidth, (TokenBucket{1500, std::chrono::seconds(1), 0}));
  EXPECT_FALSE(parse({"--net-egress-bandwidth", "fast"}).config);
  EXPECT_FALSE(parse({"--net-egress-ops", "10M"}).config);
  EXPECT_EQ(parse({"--net-egress-ops-burst", "1"}).policy(),
            "--net-egress-ops-burst without --net-egress-ops limits nothing");
}

TEST(NetworkFlags, the_rest_is_passed_on) {
  const auto parsed = parse({"-p", "8080:80", "--port", "0.0.0.0:53:53/udp", "--dns-nameserver", "1.1.1.1",
                             "--dns-query-timeout-ms", "100", "--no-dns-rebind-protection", "--net-ipv4-pool",
                             "10.0.0.0/8", "--net-ipv6-pool", "fd00::/48", "--max-connections", "9"});
  ASSERT_TRUE(parsed.config) << parsed.config.error().to_string();
  const NetworkConfig& config = *parsed.config;
  ASSERT_EQ(config.ports.size(), 2U);
  EXPECT_EQ(config.ports[1].to_string(), "0.0.0.0:53:53/udp");
  EXPECT_EQ(config.dns, (DnsConfig{false, {"1.1.1.1"}, std::chrono::milliseconds(100)}));
  EXPECT_EQ(config.ipv4_pool, "10.0.0.0/8");
  EXPECT_EQ(config.ipv6_pool, "fd00::/48");
  EXPECT_EQ(config.max_connections, 9U);
}

}  // namespace
}  // namespace msb::cli
