#include "net/policy/policy.h"

#include <gtest/gtest.h>

namespace msb::net {
namespace {

using enum NetworkProtocol;
using Kind = Verdict::Kind;
using std::chrono::seconds;

Ip ip(std::string_view text) {
  return Ip::parse(text).value();
}

class PolicyTest : public ::testing::Test {
 protected:
  // A policy of these rules, for a sandbox behind 172.16.0.1 and fd42::1.
  static Policy compiled(NetworkConfig config) {
    return Policy::compile(config, {ip("172.16.0.1"), ip("fd42:6d73:62::1")}).value();
  }
  static Policy of(std::string_view rules, NetworkAction egress = NetworkAction::deny) {
    NetworkConfig config;
    config.policy = {.default_egress = egress, .rules = {}};
    if (!rules.empty()) config.policy.rules = NetworkRule::parse_all(rules).value();
    return compiled(config);
  }
  Kind tcp_to(const Policy& policy, std::string_view address, uint16_t port = 443) const {
    return policy.egress({tcp, ip(address), port}, pins_).kind;
  }
  Kind named(const Policy& policy, std::string_view address, const std::optional<std::string>& name,
             uint16_t port = 443) const {
    return policy.egress_named({tcp, ip(address), port}, name, pins_).kind;
  }

  PinTable pins_;
};

TEST_F(PolicyTest, ThePublicProfileReachesThePublicInternetAndDnsOnly) {
  const Policy policy = compiled({});
  EXPECT_EQ(tcp_to(policy, "93.184.216.34"), Kind::allow);
  EXPECT_EQ(tcp_to(policy, "2606:4700::1111"), Kind::allow);
  EXPECT_EQ(tcp_to(policy, "172.16.0.1", 53), Kind::allow);
  for (const char* address : {"10.0.0.1",
                              "192.168.1.1",
                              "169.254.169.254",
                              "168.63.129.16",
                              "100.100.100.200",
                              "172.16.0.1",
                              "172.16.0.2",
                              "127.0.0.1",
                              "0.0.0.0",
                              "240.0.0.1",
                              "198.18.0.1",
                              "224.0.0.1",
                              "255.255.255.255",
                              "::1",
                              "::",
                              "fd00:ec2::254",
                              "fe80::1",
                              "64:ff9b::10.0.0.1",
                              "2002:a9fe:a9fe::1",
                              "::ffff:169.254.169.254",
                              "2001:db8::1",
                              "fd42:6d73:62::1"})
    EXPECT_EQ(tcp_to(policy, address), Kind::deny) << address;
}

TEST_F(PolicyTest, ProfilesComposeInOneOrder) {
  const auto policy = NetworkPolicy::from_profiles(
      {NetworkProfile::host, NetworkProfile::public_, NetworkProfile::private_, NetworkProfile::public_});
  NetworkConfig config;
  config.policy = policy;
  EXPECT_EQ(compiled(config).effective_rules(),
            (std::vector<std::string>{"allow@dns", "allow@public", "allow@private", "allow@host"}));
  EXPECT_EQ(NetworkPolicy::from_profiles({}).rules.size(), 0U);
}

TEST_F(PolicyTest, MetadataIsNoPartOfPrivate) {
  const Policy policy = of("allow@private,allow@link-local");
  EXPECT_EQ(tcp_to(policy, "10.0.0.1"), Kind::allow);
  EXPECT_EQ(tcp_to(policy, "fd00:ec2::254"), Kind::deny);
  EXPECT_EQ(tcp_to(policy, "169.254.170.2"), Kind::deny);
}

TEST_F(PolicyTest, TheFirstRuleThatMatchesDecidesAndIsNamed) {
  const Policy policy = of("deny@1.1.1.1:tcp:443,allow@1.1.1.0/24:tcp,deny@any:tcp");
  EXPECT_EQ(tcp_to(policy, "1.1.1.1"), Kind::deny);
  EXPECT_EQ(tcp_to(policy, "1.1.1.1", 80), Kind::allow);
  const Verdict verdict = policy.egress({tcp, ip("1.1.1.2"), 443}, pins_);
  EXPECT_EQ(verdict.rule, 1U);
  EXPECT_EQ(verdict.reason, "allow@1.1.1.0/24:tcp");
  EXPECT_EQ(policy.egress({udp, ip("1.1.1.2"), 443}, pins_).reason, "default egress");
}

TEST_F(PolicyTest, IcmpPassesOverRulesWithPorts) {
  const Policy policy = of("allow@any:any:1-65535,deny@8.8.8.8", NetworkAction::allow);
  EXPECT_EQ(policy.egress({icmpv4, ip("8.8.8.8"), 0}, pins_).kind, Kind::deny);
  EXPECT_EQ(policy.egress({icmpv4, ip("8.8.4.4"), 0}, pins_).kind, Kind::allow);
}

TEST_F(PolicyTest, NoRuleOpensTheHostsOwnLoopback) {
  const Policy policy = of("allow@loopback,allow@any", NetworkAction::allow);
  for (const char* address :
       {"127.0.0.1", "127.8.8.8", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1"})
    EXPECT_EQ(tcp_to(policy, address), Kind::deny) << address;
}

TEST_F(PolicyTest, WhatDeniesARangeDeniesTheWaysRoundIt) {
  const Policy policy = of("deny@10.0.0.0/8,deny@metadata,deny@host", NetworkAction::allow);
  for (const char* address : {"10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "2002:a01:203::1",
                              "64:ff9b::169.254.169.254", "::ffff:172.16.0.1"})
    EXPECT_EQ(tcp_to(policy, address), Kind::deny) << address;
  EXPECT_EQ(tcp_to(policy, "11.1.2.3"), Kind::allow);
}

TEST_F(PolicyTest, WhatAllowsARangeOpensNoTunnelToIt) {
  const Policy policy = of("allow@10.0.0.0/8");
  EXPECT_EQ(tcp_to(policy, "10.1.2.3"), Kind::allow);
  EXPECT_EQ(tcp_to(policy, "::ffff:10.1.2.3"), Kind::allow);  // the same address
  EXPECT_EQ(tcp_to(policy, "2002:a01:203::1"), Kind::deny);
}

TEST_F(PolicyTest, ARangeOfMappedAddressesIsOneOfIpv4) {
  const Policy policy = of("allow@[::ffff:10.0.0.0/104]");
  EXPECT_EQ(tcp_to(policy, "10.1.2.3"), Kind::allow);
  EXPECT_EQ(tcp_to(policy, "11.1.2.3"), Kind::deny);
}

TEST_F(PolicyTest, ANameIsAllowedOnlyAtAddressesItsDnsGave) {
  const Policy policy = of("allow@api.example.com:tcp:443");
  EXPECT_EQ(tcp_to(policy, "1.2.3.4"), Kind::deny);  // hard-coded
  EXPECT_EQ(named(policy, "1.2.3.4", "api.example.com"), Kind::deny);
  pins_.pin("api.example.com", ip("1.2.3.4"), seconds(60));
  EXPECT_EQ(tcp_to(policy, "1.2.3.4"), Kind::ask_name);
  EXPECT_EQ(tcp_to(policy, "1.2.3.4", 80), Kind::deny);
  EXPECT_EQ(tcp_to(policy, "1.2.3.5"), Kind::deny);
}

TEST_F(PolicyTest, ANameThatIsShownHasToAgreeWithTheAddress) {
  const Policy policy = of("allow@api.example.com");
  pins_.pin("api.example.com", ip("1.2.3.4"), seconds(60));
  EXPECT_EQ(named(policy, "1.2.3.4", "API.example.com."), Kind::allow);
  EXPECT_EQ(named(policy, "1.2.3.4", "other.example.com"), Kind::deny);  // domain fronting
  EXPECT_EQ(named(policy, "1.2.3.5", "api.example.com"), Kind::deny);    // spoofed
  EXPECT_EQ(named(policy, "1.2.3.4", std::nullopt), Kind::allow);        // no TLS, no HTTP: the address is all there is
  EXPECT_EQ(named(policy, "1.2.3.4", ""), Kind::deny);
  EXPECT_EQ(policy.egress({udp, ip("1.2.3.4"), 443}, pins_).kind, Kind::allow);
  EXPECT_EQ(policy.egress({udp, ip("1.2.3.5"), 443}, pins_).kind, Kind::deny);
}

TEST_F(PolicyTest, ASuffixIsItselfAndWhatIsBelow) {
  const Policy policy = of("allow@*.example.com");
  pins_.pin("example.com", ip("1.0.0.1"), seconds(60));
  pins_.pin("a.b.example.com", ip("1.0.0.2"), seconds(60));
  pins_.pin("badexample.com", ip("1.0.0.3"), seconds(60));
  EXPECT_EQ(named(policy, "1.0.0.1", std::nullopt), Kind::allow);
  EXPECT_EQ(named(policy, "1.0.0.2", "c.example.com"), Kind::allow);
  EXPECT_EQ(named(policy, "1.0.0.3", std::nullopt), Kind::deny);
  EXPECT_EQ(named(policy, "1.0.0.3", "example.com"), Kind::deny);
}

TEST_F(PolicyTest, ADeniedNameIsDeniedByTheNameOrByThePin) {
  const Policy policy = of("deny@*.evil.com,allow@public");
  EXPECT_EQ(tcp_to(policy, "1.2.3.4"), Kind::ask_name);
  EXPECT_EQ(named(policy, "1.2.3.4", "www.evil.com"), Kind::deny);
  EXPECT_EQ(named(policy, "1.2.3.4", "good.com"), Kind::allow);
  EXPECT_EQ(named(policy, "1.2.3.4", std::nullopt), Kind::allow);
  pins_.pin("cloak.good.com", ip("1.2.3.4"), seconds(60));
  pins_.pin("t.evil.com", ip("1.2.3.4"), seconds(60));  // what cloak.good.com was an alias of
  EXPECT_EQ(tcp_to(policy, "1.2.3.4"), Kind::deny);
  EXPECT_EQ(named(policy, "1.2.3.4", "cloak.good.com"), Kind::deny);
  EXPECT_EQ(policy.egress({udp, ip("1.2.3.4"), 443}, pins_).kind, Kind::deny);
}

TEST_F(PolicyTest, ANameIsAskedForOnlyWhereItCouldChangeTheVerdict) {
  pins_.pin("a.example", ip("1.2.3.4"), seconds(60));
  EXPECT_EQ(tcp_to(of("allow@domain=a.example,allow@public"), "1.2.3.4"), Kind::allow);
  EXPECT_EQ(tcp_to(of("deny@domain=b.example"), "1.2.3.4"), Kind::deny);
  EXPECT_EQ(tcp_to(of("allow@public,deny@domain=b.example"), "1.2.3.4"), Kind::allow);
  EXPECT_EQ(tcp_to(of("deny@domain=b.example,allow@public"), "10.2.3.4"), Kind::deny);
  EXPECT_EQ(tcp_to(of("deny@domain=b.example:tcp:80,allow@public"), "1.2.3.4"), Kind::allow);
  EXPECT_EQ(tcp_to(of("deny@domain=b.example,allow@domain=a.example"), "1.2.3.4"), Kind::ask_name);
  EXPECT_EQ(of("deny@domain=b.example,allow@public").egress({udp, ip("1.2.3.4"), 443}, pins_).kind, Kind::allow);
}

TEST_F(PolicyTest, DeniedDomainsStandBeforeAllRules) {
  NetworkConfig config;
  config.deny_domains = {"Blocked.example.com"};
  config.deny_domain_suffixes = {".evil.com"};
  const Policy policy = compiled(config);
  EXPECT_EQ(policy.effective_rules(),
            (std::vector<std::string>{"deny@blocked.example.com", "deny@*.evil.com", "allow@dns", "allow@public"}));
  EXPECT_EQ(policy.query("blocked.example.com", udp).kind, Kind::deny);
  EXPECT_EQ(policy.query("x.evil.com", udp).rule, 1U);
  EXPECT_EQ(policy.query("example.com", udp).kind, Kind::allow);
}

TEST_F(PolicyTest, ANameMayBeAskedForWhenItOrDnsIsAllowed) {
  EXPECT_EQ(compiled({}).query("example.com", tcp).kind, Kind::allow);
  EXPECT_EQ(of("").query("example.com", udp).kind, Kind::deny);
  EXPECT_EQ(of("", NetworkAction::allow).query("example.com", udp).kind, Kind::allow);
  const Policy one = of("allow@api.example.com:tcp:443,allow@public,allow@1.1.1.1");
  EXPECT_EQ(one.query("api.example.com", udp).kind, Kind::allow);
  EXPECT_EQ(one.query("data.api.example.com", udp).kind, Kind::deny);  // a tunnel
  EXPECT_EQ(of("allow@host:tcp").query("example.com", udp).kind, Kind::deny);
  EXPECT_EQ(of("allow@host:tcp").query("example.com", tcp).kind, Kind::allow);
  EXPECT_EQ(of("allow@any:udp:1-52").query("example.com", udp).kind, Kind::deny);
  EXPECT_EQ(of("allow:ingress@any").query("example.com", udp).kind, Kind::deny);
}

TEST_F(PolicyTest, AnswersThatAreNotPublicNeedARuleOfTheirOwn) {
  EXPECT_TRUE(compiled({}).may_answer(ip("93.184.216.34")));
  for (const char* address : {"10.0.0.1", "127.0.0.1", "0.0.0.0", "169.254.169.254", "192.0.2.1", "100::1", "fec0::1",
                              "::ffff:10.0.0.1", "64:ff9b:1::1", "172.16.0.1"})
    EXPECT_FALSE(of("", NetworkAction::allow).may_answer(ip(address))) << address;
  EXPECT_FALSE(of("allow@any").may_answer(ip("10.0.0.1")));
  EXPECT_TRUE(of("allow@private").may_answer(ip("10.0.0.1")));
  EXPECT_TRUE(of("allow@10.0.0.0/8").may_answer(ip("10.0.0.1")));
  EXPECT_FALSE(of("allow@10.0.0.1:tcp:80").may_answer(ip("10.0.0.1")));
  EXPECT_FALSE(of("deny@10.0.0.1,allow@private").may_answer(ip("10.0.0.1")));
  EXPECT_FALSE(of("allow:ingress@private").may_answer(ip("10.0.0.1")));
  NetworkConfig off;
  off.dns.rebind_protection = false;
  EXPECT_TRUE(compiled(off).may_answer(ip("10.0.0.1")));
}

TEST_F(PolicyTest, IngressJudgesThePeerAndTheGuestsPort) {
  NetworkConfig config;
  config.policy.default_ingress = NetworkAction::deny;
  config.policy.rules =
      NetworkRule::parse_all("deny:ingress@192.168.1.66,allow:ingress@private:tcp:80,allow:any@loopback").value();
  const Policy policy = compiled(config);
  EXPECT_EQ(policy.ingress(tcp, ip("192.168.1.5"), 80).kind, Kind::allow);
  EXPECT_EQ(policy.ingress(tcp, ip("::ffff:192.168.1.5"), 80).kind, Kind::allow);
  EXPECT_EQ(policy.ingress(tcp, ip("192.168.1.66"), 80).kind, Kind::deny);
  EXPECT_EQ(policy.ingress(udp, ip("192.168.1.5"), 80).kind, Kind::deny);
  EXPECT_EQ(policy.ingress(tcp, ip("192.168.1.5"), 81).reason, "default ingress");
  EXPECT_EQ(policy.ingress(udp, ip("127.0.0.1"), 81).kind, Kind::allow);
}

TEST_F(PolicyTest, ARuleThatCannotBeIsRefused) {
  NetworkConfig config;
  config.deny_domain_suffixes = {"com"};
  EXPECT_EQ(Policy::compile(config, {}).error().kind(), ErrorKind::network_policy);
  config.deny_domain_suffixes.clear();
  config.policy.rules = {{.protocols = {icmpv4}, .ports = {{1, 2}}}};
  EXPECT_EQ(Policy::compile(config, {}).error().kind(), ErrorKind::network_policy);
}

}  // namespace
}  // namespace msb::net
