#include "sandbox/network_plan.h"

#include <gmock/gmock.h>

#include <thread>

#include "net/testing/host_namespace.h"
#include "net/testing/interfaces.h"

namespace msb {
namespace {

using net::Cidr;
using net::testing::HostNamespace;
using ::testing::ElementsAre;
constexpr HostFamilies kBoth{.v4 = true, .v6 = true};

TEST(PlanNetwork, a_slot_is_a_link_of_its_own) {
  const auto first = plan_network({}, 0, kBoth);
  EXPECT_EQ(first->v4->gateway, "172.16.0.1");
  EXPECT_EQ(first->v4->guest, "172.16.0.2");
  EXPECT_EQ(first->v4->prefix, 30);
  EXPECT_EQ(first->v6->gateway, "fd42:6d73:62::1");
  EXPECT_EQ(first->v6->guest, "fd42:6d73:62::2");
  EXPECT_EQ(first->v6->prefix, 64);
  EXPECT_EQ(first->gateway_mac, "02:6d:73:00:00:01");
  EXPECT_EQ(first->mtu, 1500);
  const auto other = plan_network({}, 258, kBoth);
  EXPECT_EQ(other->v4->gateway, "172.16.4.9");
  EXPECT_EQ(other->v6->guest, "fd42:6d73:62:102::2");
  EXPECT_EQ(other->guest_mac, "02:6d:73:01:02:02");
  EXPECT_EQ(plan_network({}, 65535, kBoth)->v4->guest, "172.19.255.254");
}

TEST(PlanNetwork, a_small_pool_begins_anew) {
  NetworkConfig config;
  config.ipv4_pool = "10.9.8.0/29";
  config.ipv6_pool = "fd00:1:2:3::/64";
  EXPECT_EQ(plan_network(config, 1, kBoth)->v4->guest, "10.9.8.6");
  EXPECT_EQ(plan_network(config, 2, kBoth)->v4->guest, "10.9.8.2");
  EXPECT_EQ(plan_network(config, 9, kBoth)->v6->guest, "fd00:1:2:3::2");
}

TEST(PlanNetwork, a_family_the_host_has_not_is_left_out_unless_it_was_asked_for) {
  EXPECT_FALSE(plan_network({}, 0, {.v4 = true, .v6 = false})->v6);
  EXPECT_FALSE(plan_network({}, 0, {.v4 = false, .v6 = true})->v4);
  EXPECT_TRUE(plan_network({}, 0, {})->v4);
  NetworkConfig config;
  config.ipv6_pool = "fd00::/48";
  EXPECT_TRUE(plan_network(config, 0, {.v4 = true, .v6 = false})->v6);
}

TEST(PlanNetwork, without_a_network_there_is_none) {
  NetworkConfig config;
  config.enabled = false;
  EXPECT_FALSE(plan_network(config, 0, kBoth));
}

TEST(PlanNetwork, the_guest_is_told_its_addresses_and_asks_its_gateway) {
  wire::Bootstrap bootstrap;
  plan_guest_network(*plan_network({}, 1, kBoth), bootstrap);
  EXPECT_THAT(bootstrap.nameservers, ElementsAre("172.16.0.5", "fd42:6d73:62:1::1"));
  ASSERT_EQ(bootstrap.network->addresses.size(), 2U);
  EXPECT_EQ(bootstrap.network->addresses[0].address, "172.16.0.6");
  EXPECT_EQ(bootstrap.network->addresses[1].gateway, "fd42:6d73:62:1::1");
  EXPECT_EQ(bootstrap.network->mtu, 1500U);
}

// The families of a host with addresses of both and routes to these places.
std::string families_with_routes(const std::vector<Cidr>& routes) {
  std::string found = "no namespace";
  std::thread([&] {  // whose namespace ends with it
    if (!HostNamespace::enter(HostNamespace::Families::both)) return;
    for (const Cidr& to : routes) EXPECT_TRUE(net::testing::add_route("lo", to));
    const HostFamilies families = host_families();
    found = cat(families.v4 ? "v4 " : "", families.v6 ? "v6" : "");
  })
      .join();
  return found;
}

TEST(HostFamiliesOfAHost, are_those_with_a_route_to_the_internet) {
  const Cidr all_v4, all_v6(net::Ip::v6({}), 0);
  const std::string none = families_with_routes({});
  if (none == "no namespace") GTEST_SKIP() << "needs a network namespace";
  EXPECT_EQ(none, "");
  EXPECT_EQ(families_with_routes({all_v4}), "v4 ");
  EXPECT_EQ(families_with_routes({all_v6}), "v6");
  EXPECT_EQ(families_with_routes({all_v4, all_v6}), "v4 v6");
}

TEST(CheckNetwork, each_rule_has_its_message) {
  EXPECT_TRUE(check_network({}));
  const auto message = [](auto change) {
    NetworkConfig config;
    change(config);
    const auto checked = check_network(config);
    return checked ? "accepted" : checked.error().message();
  };
  EXPECT_EQ(message([](auto& c) { c.max_connections = 4097; }),
            "4097 connections are not possible; a sandbox has 1 to 4096");
  EXPECT_EQ(message([](auto& c) { c.ipv4_pool = "10.0.0.0/31"; }), "'10.0.0.0/31' is no pool of addresses");
  EXPECT_EQ(message([](auto& c) { c.ipv6_pool = "10.0.0.0/8"; }), "'10.0.0.0/8' is no pool of addresses");
  EXPECT_EQ(message([](auto& c) { c.dns.nameservers = {"dns.example"}; }),
            "'dns.example' is no address with or without a port (1.2.3.4:80, [::1]:80)");
  EXPECT_EQ(message([](auto& c) { c.dns.query_timeout = std::chrono::milliseconds(0); }),
            "the time a nameserver has to answer must be longer than zero");
  EXPECT_EQ(
      message([](auto& c) { c.ports = {{.host_port = 80, .guest_port = 80}, {.host_port = 80, .guest_port = 81}}; }),
      "port 127.0.0.1:80/tcp of the host is published twice");
  EXPECT_EQ(message([](auto& c) {
              c.ports = {{.host_port = 0, .guest_port = 80},
                         {.host_port = 0, .guest_port = 80},
                         {.host_port = 80, .guest_port = 80},
                         {.host_port = 80, .guest_port = 80, .protocol = PortBinding::Protocol::udp},
                         {.bind = "::1", .host_port = 80, .guest_port = 80}};
            }),
            "accepted");
  EXPECT_EQ(message([](auto& c) { c.ports = {{.bind = "localhost", .host_port = 80, .guest_port = 80}}; }),
            "port 'localhost:80:80': it binds to an address of this host, IPv6 in brackets, not to 'localhost'");
  EXPECT_EQ(message([](auto& c) {
              c.enabled = false;
              c.ports = {{.host_port = 80, .guest_port = 80}};
            }),
            "a sandbox without a network cannot publish ports");
  EXPECT_EQ(message([](auto& c) { c.egress.bandwidth.emplace(); }),
            "the egress bandwidth limit is 0: leave it out, or switch the network off");
  EXPECT_EQ(message([](auto& c) { c.proxy = "http://u:p@proxy"; }), "'http://***@proxy' is no proxy: it has no port");
  EXPECT_EQ(message([](auto& c) { c.proxy = "none"; }), "accepted");
  NetworkConfig config;
  config.deny_domains = {"a..b"};
  EXPECT_EQ(check_network(config).error().kind(), ErrorKind::network_policy);
}

}  // namespace
}  // namespace msb
