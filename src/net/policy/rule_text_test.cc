#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <microsandbox/network.h>

#include "base/bytes.h"
#include "net/address.h"
#include "net/policy/rule_check.h"

namespace msb {
namespace {

using enum NetworkProtocol;
constexpr auto kAllow = NetworkAction::allow;
constexpr auto kDeny = NetworkAction::deny;

NetworkDestination domain(std::string_view name) {
  return NetworkDestination::domain(name).value();
}

struct Good {
  const char* text;
  NetworkRule want;
  const char* canonical;
};
class GoodRuleTest : public ::testing::TestWithParam<Good> {};

TEST_P(GoodRuleTest, IsReadAndWrittenCanonically) {
  const auto rule = NetworkRule::parse(GetParam().text);
  ASSERT_TRUE(rule) << rule.error().to_string();
  EXPECT_EQ(*rule, GetParam().want);
  EXPECT_EQ(rule->to_string(), GetParam().canonical);
}

INSTANTIATE_TEST_SUITE_P(
    Rules, GoodRuleTest,
    ::testing::Values(
        Good{"allow@any", {.action = kAllow}, "allow@any"},
        Good{"deny:egress@any:any:any", {.action = kDeny}, "deny@any"},
        Good{" deny:any@public ",
             {.action = kDeny,
              .direction = NetworkDirection::any,
              .destination = NetworkDestination::of(NetworkGroup::public_)},
             "deny:any@public"},
        Good{"allow@meta",
             {.action = kAllow, .destination = NetworkDestination::of(NetworkGroup::metadata)},
             "allow@metadata"},
        Good{"allow@link-local",
             {.action = kAllow, .destination = NetworkDestination::of(NetworkGroup::link_local)},
             "allow@link-local"},
        Good{"allow@API.github.com.:tcp:443",
             {.action = kAllow, .destination = domain("api.github.com"), .protocols = {tcp}, .ports = {{443, 443}}},
             "allow@api.github.com:tcp:443"},
        Good{"deny@*.Evil.com",
             {.action = kDeny, .destination = NetworkDestination::domain_suffix("evil.com").value()},
             "deny@*.evil.com"},
        Good{"deny@suffix=evil.com",
             {.action = kDeny, .destination = NetworkDestination::domain_suffix(".evil.com").value()},
             "deny@*.evil.com"},
        Good{"allow@domain=localhost:any:80-90",
             {.action = kAllow, .destination = domain("localhost"), .ports = {{80, 90}}},
             "allow@domain=localhost:any:80-90"},
        Good{"allow@domain=public", {.action = kAllow, .destination = domain("public")}, "allow@domain=public"},
        Good{"allow@domain=a.b", {.action = kAllow, .destination = domain("a.b")}, "allow@a.b"},
        Good{"allow@1.1.1.1:udp",
             {.action = kAllow, .destination = NetworkDestination::ip("1.1.1.1").value(), .protocols = {udp}},
             "allow@1.1.1.1:udp"},
        Good{"allow@10.1.2.3/8",
             {.action = kAllow, .destination = NetworkDestination::cidr("10.0.0.0/8").value()},
             "allow@10.0.0.0/8"},
        Good{"allow@[2001:DB8:0::1]:tcp:any",
             {.action = kAllow, .destination = NetworkDestination::ip("2001:db8::1").value(), .protocols = {tcp}},
             "allow@[2001:db8::1]:tcp"},
        Good{
            "allow@[2001:db8::/32]:icmpv6",
            {.action = kAllow, .destination = NetworkDestination::cidr("2001:db8::/32").value(), .protocols = {icmpv6}},
            "allow@[2001:db8::/32]:icmpv6"},
        Good{"deny:ingress@any:tcp+udp:22+8000-8999",
             {.action = kDeny,
              .direction = NetworkDirection::ingress,
              .protocols = {tcp, udp},
              .ports = {{22, 22}, {8000, 8999}}},
             "deny:ingress@any:tcp+udp:22+8000-8999"},
        Good{"deny@dns",
             {.action = kDeny,
              .destination = NetworkDestination::of(NetworkGroup::host),
              .protocols = {udp, tcp},
              .ports = {{53, 53}}},
             "deny@dns"}));

struct Bad {
  const char* text;
  const char* says;  // after "rule '...': "
  const char* hint;  // the first; empty: none
};
class BadRuleTest : public ::testing::TestWithParam<Bad> {};

TEST_P(BadRuleTest, SaysWhatIsWrongAndWhatWasMeant) {
  const auto rule = NetworkRule::parse(GetParam().text);
  ASSERT_FALSE(rule);
  EXPECT_EQ(rule.error().kind(), ErrorKind::network_policy);
  EXPECT_EQ(rule.error().to_string(), "rule '" + std::string(GetParam().text) + "': " + GetParam().says);
  EXPECT_EQ(rule.error().hints().empty() ? "" : rule.error().hints().front(), GetParam().hint);
}

INSTANTIATE_TEST_SUITE_P(
    Rules, BadRuleTest,
    ::testing::Values(
        Bad{"", "it has no '@'", "as in allow@example.com or deny:ingress@any:tcp:22"},
        Bad{"allow:public", "it has no '@'", "as in allow@example.com or deny:ingress@any:tcp:22"},
        Bad{"alow@public", "'alow' is none of allow, deny", "did you mean 'allow'?"},
        Bad{"DENY@public", "'DENY' is none of allow, deny", "did you mean 'deny'?"},
        Bad{"permit@public", "'permit' is none of allow, deny", ""},
        Bad{"allow:inggress@any", "'inggress' is none of egress, ingress, any", "did you mean 'ingress'?"},
        Bad{"allow:@any", "there is no direction behind the ':'", ""},
        Bad{"allow@", "there is no target behind the '@'", ""},
        Bad{"allow@:tcp:80", "there is no target behind the '@'", ""},
        Bad{"allow@pubilc", "'pubilc' could be a mistyped group or a name", "did you mean 'public'?"},
        Bad{"allow@Private", "'Private' could be a mistyped group or a name", "did you mean 'private'?"},
        Bad{"allow@database", "'database' could be a mistyped group or a name", "the name is written domain=database"},
        Bad{"allow@api.github.com:443", "'443' stands where the protocol should",
            "did you mean allow@api.github.com:tcp:443?"},
        Bad{"deny:any@[::1]:80-90", "'80-90' stands where the protocol should",
            "did you mean deny:any@[::1]:tcp:80-90?"},
        Bad{"allow@any:tpc:80", "'tpc' is none of tcp, udp, icmpv4, icmpv6, any", "did you mean 'tcp'?"},
        Bad{"allow@any:icmp", "'icmp' is not one protocol", "did you mean 'icmpv4' or 'icmpv6'?"},
        Bad{"allow@any:tcp+any", "'any' stands alone", ""},
        Bad{"allow@any:", "there is no protocol behind the ':'", ""},
        Bad{"allow@any::80", "there is no protocol behind the ':'", ""},
        Bad{"allow@any:tcp:", "there are no ports behind the ':'", ""},
        Bad{"allow@any:tcp:0", "'0' is no port (1 to 65535), range (1-1023) or 'any'", ""},
        Bad{"allow@any:tcp:65536", "'65536' is no port (1 to 65535), range (1-1023) or 'any'", ""},
        Bad{"allow@any:tcp:http", "'http' is no port (1 to 65535), range (1-1023) or 'any'", ""},
        Bad{"allow@any:tcp:90-80", "the range 90-80 ends before it begins", ""},
        Bad{"allow@any:tcp:80:90", "'80:90' is no port (1 to 65535), range (1-1023) or 'any'", ""},
        Bad{"allow@any:icmpv4:80", "ICMP has no ports", ""},
        Bad{"allow:any@any:icmpv6", "ICMP is for egress only: nobody can ping a guest", ""},
        Bad{"deny:ingress@evil.com", "a peer has an address and no name: ingress rules are about addresses and groups",
            ""},
        Bad{"allow@dns:udp", "'dns' stands for udp and tcp port 53 of the host; nothing follows it", ""},
        Bad{"allow:any@dns", "'dns' is what the guest asks: its direction is egress", ""},
        Bad{"allow@::1", "an IPv6 address stands in brackets", "as in allow@[2001:db8::1]:tcp:443"},
        Bad{"allow@2001:db8::1:tcp:443", "an IPv6 address stands in brackets", "as in allow@[2001:db8::1]:tcp:443"},
        Bad{"allow@[::1", "the ']' is missing", ""}, Bad{"allow@[::1]80", "after ']' comes ':' or nothing", ""},
        Bad{"allow@[1.1.1.1]", "only IPv6 addresses stand in brackets", ""},
        Bad{"allow@.example.com", "'.example.com' begins with a dot",
            "did you mean '*.example.com', the name and all below it?"},
        Bad{"deny@*.com", "'*.com': a suffix has two labels at least", "as in *.example.com"},
        Bad{"allow@1.1.1.300", "'1.1.1.300' is no domain name: it ends in a number", ""},
        Bad{"allow@10.0.0.0/33", "'10.0.0.0/33': the prefix has to be 0 to 32", ""},
        Bad{"allow@a..b", "'a..b' is no domain name: labels are 1 to 63 of a-z, 0-9, - and _ (write others as xn--...)",
            ""},
        Bad{"allow@*.*.example.com",
            "'*.example.com' is no domain name: labels are 1 to 63 of a-z, 0-9, - and _ (write others as xn--...)",
            ""}));

TEST(RuleListTest, SeveralArePartedByCommas) {
  const auto rules = NetworkRule::parse_all("allow@dns, allow@*.example.com:tcp:443,deny@any");
  ASSERT_TRUE(rules) << rules.error().to_string();
  ASSERT_EQ(rules->size(), 3U);
  EXPECT_EQ((*rules)[1].to_string(), "allow@*.example.com:tcp:443");
  EXPECT_FALSE(NetworkRule::parse_all("allow@dns,"));
  EXPECT_FALSE(NetworkRule::parse_all(""));
}

TEST(RuleCheckTest, ADestinationMadeByHandHasToBeCanonical) {
  NetworkRule rule{.destination = {.kind = NetworkDestination::Kind::domain, .text = "Example.com"}};
  const auto checked = net::check_rule(rule);
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().message().find("'example.com'"), std::string::npos) << checked.error().message();
  rule.destination.text = "not a name";
  EXPECT_FALSE(net::check_rule(rule));
}

NetworkDestination any_destination() {
  const auto label = rc::gen::container<std::string>(rc::gen::elementOf(std::string("abcxyz019-_")));
  const std::string name = "h" + (*label).substr(0, 20) + "." + "t" + (*label).substr(0, 20);
  const Bytes v6 = *rc::gen::container<Bytes>(16, rc::gen::arbitrary<uint8_t>());
  const net::Ip address = net::Ip::from_bytes(*rc::gen::arbitrary<bool>() ? ByteView(v6) : ByteView(v6).first(4));
  switch (*rc::gen::inRange(0, 6)) {
    case 0:
      return NetworkDestination::any();
    case 1:
      return NetworkDestination::ip(address.to_string()).value();
    case 2:
      return NetworkDestination::cidr(net::Cidr(address, *rc::gen::inRange(0U, 129U)).to_string()).value();
    case 3:
      return *rc::gen::arbitrary<bool>() ? domain(name) : domain("single");
    case 4:
      return NetworkDestination::domain_suffix(name).value();
    default:
      return NetworkDestination::of(static_cast<NetworkGroup>(*rc::gen::inRange(0, 7)));
  }
}

RC_GTEST_PROP(RuleTextTest, EveryRuleThatHoldsCanBeWrittenAndReadBack, ()) {
  NetworkRule rule;
  rule.action = *rc::gen::element(kAllow, kDeny);
  rule.direction = static_cast<NetworkDirection>(*rc::gen::inRange(0, 3));
  rule.destination = any_destination();
  for (int left = *rc::gen::inRange(0, 4); left > 0; --left)
    rule.protocols.push_back(static_cast<NetworkProtocol>(*rc::gen::inRange(0, 4)));
  for (int left = *rc::gen::inRange(0, 4); left > 0; --left) {
    const auto first = *rc::gen::inRange(1, 65536);
    rule.ports.push_back({static_cast<uint16_t>(first), static_cast<uint16_t>(*rc::gen::inRange(first, 65536))});
  }
  const bool holds = net::check_rule(rule).has_value();
  const auto again = NetworkRule::parse(rule.to_string());
  RC_ASSERT(again.has_value() == holds);
  RC_ASSERT(!holds || *again == rule);
}

}  // namespace
}  // namespace msb
