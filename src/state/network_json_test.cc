#include "state/network_json.h"

#include <gtest/gtest.h>

namespace msb::state {
namespace {

using nlohmann::json;

// Every field another than its default.
NetworkConfig example() {
  NetworkConfig config;
  config.enabled = false;
  config.policy = {.default_egress = NetworkAction::allow, .default_ingress = NetworkAction::deny, .rules = {}};
  config.policy.rules = {{.action = NetworkAction::allow,
                          .direction = NetworkDirection::any,
                          .destination = {.kind = NetworkDestination::Kind::domain_suffix, .text = "example.com"},
                          .protocols = {NetworkProtocol::tcp, NetworkProtocol::udp},
                          .ports = {{80, 80}, {8000, 8999}}},
                         {.destination = {.kind = NetworkDestination::Kind::group, .group = NetworkGroup::link_local}}};
  config.deny_domains = {"evil.example"};
  config.deny_domain_suffixes = {"bad.example"};
  config.ports = {{.bind = "::1", .host_port = 0, .guest_port = 53, .protocol = PortBinding::Protocol::udp}};
  config.dns = {.rebind_protection = false, .nameservers = {"1.1.1.1"}, .query_timeout = std::chrono::milliseconds(7)};
  config.ipv4_pool = "10.0.0.0/8";
  config.ipv6_pool = "fd00::/48";
  config.max_connections = 4096;
  config.proxy = "http://u:p@proxy:1";
  config.egress.bandwidth = TokenBucket{.size = 1, .refill_time = std::chrono::milliseconds(2), .one_time_burst = 3};
  config.ingress.operations = TokenBucket{.size = 9};
  return config;
}

TEST(NetworkJsonTest, EveryFieldComesBack) {
  EXPECT_EQ(network_from_json(network_to_json(example())), example());
  EXPECT_EQ(network_from_json(network_to_json({})), NetworkConfig());
}

TEST(NetworkJsonTest, IsWrittenLikeThis) {
  EXPECT_EQ(network_to_json(example()).dump(),
            R"({"deny_domain_suffixes":["bad.example"],"deny_domains":["evil.example"],)"
            R"("dns":{"nameservers":["1.1.1.1"],"query_timeout_ms":7,"rebind_protection":false},)"
            R"("egress":{"bandwidth":{"one_time_burst":3,"refill_time_ms":2,"size":1},"operations":null},)"
            R"("enabled":false,)"
            R"("ingress":{"bandwidth":null,"operations":{"one_time_burst":0,"refill_time_ms":1000,"size":9}},)"
            R"("ipv4_pool":"10.0.0.0/8","ipv6_pool":"fd00::/48","max_connections":4096,)"
            R"("policy":{"default_egress":"allow","default_ingress":"deny","rules":[)"
            R"({"action":"allow","destination":{"kind":"domain-suffix","text":"example.com"},"direction":"any",)"
            R"("ports":[[80,80],[8000,8999]],"protocols":["tcp","udp"]},)"
            R"({"action":"deny","destination":{"kind":"group","text":"link-local"},"direction":"egress",)"
            R"("ports":[],"protocols":[]}]},)"
            R"("ports":[{"bind":"::1","guest_port":53,"host_port":0,"protocol":"udp"}],"proxy":"http://u:p@proxy:1"})");
}

TEST(NetworkJsonTest, ANetworkOfBeforeThereWereProxiesHasNone) {
  json old = network_to_json({});
  old.erase("proxy");
  EXPECT_EQ(network_from_json(old), NetworkConfig());
}

TEST(NetworkJsonTest, ReadingIsStrict) {
  for (const auto& [path, value] : std::vector<std::pair<const char*, json>>{
           {"/enabled", 1},
           {"/max_connections", -1},
           {"/policy/default_egress", "permit"},
           {"/policy/rules/0/ports/0", json::array({1})},
           {"/policy/rules/0/ports/0/1", 65536},
           {"/policy/rules/0/protocols/0", "icmp"},
           {"/policy/rules/1/destination/text", "everywhere"},
           {"/ports/0/host_port", 65536},
           {"/dns/extra", true},
           {"/egress/bandwidth", json::object()},
       }) {
    json damaged = network_to_json(example());
    damaged[json::json_pointer(path)] = value;
    EXPECT_THROW(network_from_json(damaged), std::exception) << path;
  }
  json missing = network_to_json(example());
  missing.erase("dns");
  EXPECT_THROW(network_from_json(missing), std::exception);
}

TEST(NetworkJsonTest, ASpecComesBack) {
  NetworkSpec spec{.config = example(),
                   .gateway_mac = "02:6d:73:00:01:01",
                   .guest_mac = "02:6d:73:00:01:02",
                   .v4 = LinkSpec{.gateway = "172.16.0.1", .guest = "172.16.0.2", .prefix = 30},
                   .v6 = {},
                   .mtu = 9000,
                   .proxy = ProxySpec{.url = "http://u:p@proxy:1", .addresses = {"10.0.0.1"}, .exceptions = "*"}};
  const NetworkSpec back = network_spec_from_json(network_spec_to_json(spec));
  EXPECT_EQ(back.config, spec.config);
  EXPECT_EQ(back.guest_mac, spec.guest_mac);
  EXPECT_EQ(back.v4->guest, "172.16.0.2");
  EXPECT_EQ(back.v4->prefix, 30);
  EXPECT_FALSE(back.v6);
  EXPECT_EQ(back.mtu, 9000);
  EXPECT_EQ(back.proxy, spec.proxy);
  EXPECT_EQ(network_spec_to_json(back), network_spec_to_json(spec));
}

}  // namespace
}  // namespace msb::state
