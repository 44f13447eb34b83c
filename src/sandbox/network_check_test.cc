#include "sandbox/network_check.h"

#include <gtest/gtest.h>

namespace msb {
namespace {

NetworkCheck check(const NetworkConfig& config, std::string_view target) {
  const std::vector<net::Ip> gateways = {net::Ip::v4(172, 16, 0, 1)};
  return check_target(config, gateways, NetworkTarget::parse(target).value()).value();
}
NetworkConfig with(std::string_view rules, NetworkAction egress = NetworkAction::deny) {
  NetworkConfig config;
  config.policy.default_egress = egress;
  config.policy.rules = NetworkRule::parse_all(rules).value();
  return config;
}

TEST(CheckTarget, an_address_is_judged_by_its_group) {
  EXPECT_TRUE(check({}, "1.1.1.1").allowed);
  EXPECT_EQ(check({}, "1.1.1.1").rule, "allow@public");
  EXPECT_EQ(check({}, "1.1.1.1").why, "it is a public address");
  EXPECT_FALSE(check({}, "10.0.0.1:80").allowed);
  EXPECT_EQ(check({}, "169.254.169.254:80").why, "it is a metadata address");
  EXPECT_EQ(check({}, "[64:ff9b::a9fe:a9fe]:80").why, "it is a metadata address");
  EXPECT_EQ(check({}, "192.0.2.1").why, "it is a reserved address, of no group");
  EXPECT_EQ(check({}, "172.16.0.1:53/udp").rule, "allow@dns");
  EXPECT_EQ(check({}, "172.16.0.1:80").why, "it is the sandbox's host");
}

TEST(CheckTarget, a_name_has_to_be_asked_for_and_connected_to) {
  EXPECT_TRUE(check({}, "example.com").allowed);
  const auto one = with("allow@api.example.com:tcp:443");
  EXPECT_TRUE(check(one, "API.example.com").allowed);
  EXPECT_EQ(check(one, "api.example.com:80").why, "the name may be asked for, and not connected to");
  EXPECT_EQ(check(one, "other.example.com").rule, "default egress");
  EXPECT_FALSE(check(one, "1.1.1.1").allowed);
  EXPECT_EQ(check(with("deny@*.evil.com,allow@dns,allow@public"), "x.evil.com").rule, "deny@*.evil.com");
  EXPECT_TRUE(check(with("allow@dns,allow@[2000::/3]"), "example.com").allowed);
  EXPECT_FALSE(check({}, "host.microsandbox.internal:8000").allowed);
  EXPECT_TRUE(check(with("allow@host"), "host.microsandbox.internal:8000").allowed);
}

TEST(CheckTarget, without_a_network_nothing_is_reached) {
  NetworkConfig off;
  off.enabled = false;
  EXPECT_EQ(check(off, "1.1.1.1").rule, "no network");
}

TEST(NetworkTarget, is_read_and_written) {
  for (const auto& [text, want] : std::vector<std::pair<const char*, const char*>>{
           {"example.com", "example.com:443/tcp"},
           {"example.com:80", "example.com:80/tcp"},
           {"1.1.1.1:53/udp", "1.1.1.1:53/udp"},
           {"2606:4700::1111", "[2606:4700::1111]:443/tcp"},
           {"[2606:4700::1111]:853/tcp", "[2606:4700::1111]:853/tcp"},
       })
    EXPECT_EQ(NetworkTarget::parse(text)->to_string(), want);
  for (const char* text : {"", ":80", "example.com:", "example.com:0", "example.com:80/sctp", "1.2.3", "a b"})
    EXPECT_FALSE(NetworkTarget::parse(text)) << text;
}

}  // namespace
}  // namespace msb
