// What a guest begins, by IPv4 and by IPv6, between two kernels: see gateway_fixture.h.
#include "net/gateway.h"

#include <gmock/gmock.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#include <numeric>

#include "net/testing/gateway_fixture.h"

namespace msb::net {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): the words of the fixture
using ::testing::HasSubstr;
using ::testing::SizeIs;

class GatewayTest : public FamilyFixture {};
MSB_BOTH_FAMILIES(GatewayTest);

TEST_P(GatewayTest, ConnectionReachesThePublicHostBothWaysAndHalfCloses) {
  start({});
  Endpoint at;
  const Fd listener = serve(host(), at);
  const Fd client = guest_socket();
  ASSERT_EQ(connect_to(client, at), 0);
  const Fd server = accept_one(listener);
  question_and_answer(client, server);
}

TEST_P(GatewayTest, ManyBytesArriveWholeInBothDirectionsAtOnce) {
  start({});
  Endpoint at;
  const Fd listener = serve(host(), at);
  const Fd client = guest_socket();
  ASSERT_EQ(connect_to(client, at), 0);
  const Fd server = accept_one(listener);
  std::string text(8 << 20, '\0');
  std::iota(text.begin(), text.end(), 'a');
  std::thread up([&] { say(client, text); });
  std::thread down([&] { say(server, text); });
  std::string heard_by_server;
  std::thread reader([&] { heard_by_server = hear(server, text.size()); });
  EXPECT_EQ(hear(client, text.size()), text);
  reader.join();
  up.join();
  down.join();
  EXPECT_EQ(heard_by_server, text);
  const GatewayCounters counters = gateway_->counters();
  EXPECT_EQ(counters.connections, 1u);
  EXPECT_GT(counters.stack.received_bytes, text.size());
  EXPECT_GT(counters.stack.sent_bytes, text.size());
}

TEST_P(GatewayTest, ResetOnTheHostIsAResetInTheGuestAndTheOtherWayRound) {
  start({});
  Endpoint at;
  const Fd listener = serve(host(), at);
  const Fd client = guest_socket();
  ASSERT_EQ(connect_to(client, at), 0);
  abort_socket(accept_one(listener));
  EXPECT_EQ(hear(client, 1), "reset");
  Fd quitter = guest_socket();
  ASSERT_EQ(connect_to(quitter, at), 0);
  const Fd server = accept_one(listener);
  abort_socket(std::move(quitter));
  EXPECT_EQ(hear(server, 1), "reset");
}

TEST_P(GatewayTest, ClosedPortIsRefusedInTheGuest) {
  start({});
  EXPECT_EQ(try_connect({host(), 1}), ECONNREFUSED);
  EXPECT_THAT(gateway_->denials(), SizeIs(0));
}

TEST_P(GatewayTest, WhereTheHostHasNoRouteTheGuestHasNone) {
  start({});
  const Ip nowhere = Ip::parse(family() == Family::v4 ? "198.41.0.4" : "2001:503:ba3e::2:30").value();
  EXPECT_EQ(try_connect({nowhere, 80}), ENETUNREACH);
  const Fd datagrams = guest_socket(SOCK_DGRAM);
  want_all_errors(datagrams);
  ASSERT_EQ(connect_to(datagrams, {nowhere, 80}), 0);
  say(datagrams, "anybody?");
  EXPECT_EQ(hear(datagrams, 1), words_of(ENETUNREACH));
}

TEST_P(GatewayTest, HostsLoopbackNeedsARuleAndTheGatewaysAddress) {
  start(with_rules("allow@host:tcp"));
  Endpoint at;
  const Fd listener = serve(loopback(), at);
  const Fd client = guest_socket();
  ASSERT_EQ(connect_to(client, {gateway(), at.port}), 0);
  const Fd server = accept_one(listener);
  say(server, "local");
  EXPECT_EQ(hear(client, 5), "local");
}

TEST_P(GatewayTest, ServiceOnTheHostsLoopbackOfTheOtherFamilyIsReachedToo) {
  start(with_rules("allow@host:tcp"));
  Endpoint at;
  const Fd listener = serve(HostNamespace::loopback(family() == Family::v4 ? Family::v6 : Family::v4), at);
  const Fd client = guest_socket();
  ASSERT_EQ(connect_to(client, {gateway(), at.port}), 0);
  say(accept_one(listener), "other");
  EXPECT_EQ(hear(client, 5), "other");
}

TEST_P(GatewayTest, DeniedDestinationIsRefusedAndTold) {
  start({});
  Endpoint at;
  const Fd listener = serve(loopback(), at);
  const Ip metadata = Ip::parse(family() == Family::v4 ? "169.254.169.254" : "fd00:ec2::254").value();
  EXPECT_EQ(try_connect({gateway(), at.port}), ECONNREFUSED);
  EXPECT_EQ(try_connect({metadata, 80}), ECONNREFUSED);
  const auto denials = gateway_->denials();
  ASSERT_THAT(denials, SizeIs(2));
  EXPECT_EQ(denials[0].remote, (Endpoint{gateway(), at.port}));
  EXPECT_EQ(denials[1].rule, "default egress");
  EXPECT_EQ(gateway_->counters().denials, 2u);
  EXPECT_EQ(gateway_->counters().connections, 0u);
}

TEST_P(GatewayTest, DnsOverTlsIsRefused) {
  start({});
  EXPECT_EQ(try_connect({host(), 853}), ECONNREFUSED);
  EXPECT_THAT(gateway_->denials(), SizeIs(1));
}

TEST_P(GatewayTest, ConnectionsBeyondTheLimitAreRefused) {
  NetworkConfig config;
  config.max_connections = 2;
  start(config);
  Endpoint at;
  const Fd listener = serve(host(), at);
  const Fd first = guest_socket(), second = guest_socket();
  ASSERT_EQ(connect_to(first, at), 0);
  ASSERT_EQ(connect_to(second, at), 0);
  EXPECT_EQ(try_connect(at), ECONNREFUSED);
  EXPECT_THAT(gateway_->denials().at(0).rule, HasSubstr("limit of 2 connections"));
}

TEST_P(GatewayTest, DatagramsGoAndComeBack) {
  start({});
  const Fd server = host_socket(family(), SOCK_DGRAM);
  const Endpoint at = bind_at(server, {host(), 0});
  const Fd client = guest_socket(SOCK_DGRAM);
  ASSERT_EQ(connect_to(client, at), 0);
  say(client, "ping");
  hear_and_reply(server, "ping", "pong");
  EXPECT_EQ(hear(client, 4), "pong");
}

TEST_P(GatewayTest, DatagramsToTheGatewayReachTheHostsLoopback) {
  start(with_rules("allow@host:udp"));
  const Fd server = host_socket(family(), SOCK_DGRAM);
  const Endpoint at = bind_at(server, {loopback(), 0});
  const Fd client = guest_socket(SOCK_DGRAM);
  ASSERT_EQ(connect_to(client, {gateway(), at.port}), 0);
  say(client, "ping");
  EXPECT_EQ(hear_and_reply(server, "ping", "pong").ip, loopback());
  EXPECT_EQ(hear(client, 4), "pong");
}

TEST_P(GatewayTest, DatagramsReachTheHostsLoopbackOfTheOtherFamilyToo) {
  start(with_rules("allow@host:udp"));
  const Family other = family() == Family::v4 ? Family::v6 : Family::v4;
  const Fd server = host_socket(other, SOCK_DGRAM);
  const Endpoint at = bind_at(server, {HostNamespace::loopback(other), 0});
  const Fd client = guest_socket(SOCK_DGRAM);
  ASSERT_EQ(connect_to(client, {gateway(), at.port}), 0);
  say(client, "ping");
  hear_and_reply(server, "ping", "pong");
  EXPECT_EQ(hear(client, 4), "pong");
  say(client, "again");
  hear_and_reply(server, "again", "heard");
  EXPECT_EQ(hear(client, 5), "heard");
}

TEST_P(GatewayTest, DatagramsToTheGatewayAreRefusedWhenNobodyListensAtAll) {
  start(with_rules("allow@host:udp"));
  const Fd client = guest_socket(SOCK_DGRAM);
  ASSERT_EQ(connect_to(client, {gateway(), 1}), 0);
  say(client, "anybody?");
  EXPECT_EQ(hear(client, 1), words_of(ECONNREFUSED));
}

TEST_P(GatewayTest, DatagramToAClosedPortIsRefused) {
  start({});
  const Fd client = guest_socket(SOCK_DGRAM);
  ASSERT_EQ(connect_to(client, {host(), 1}), 0);
  say(client, "anybody?");
  EXPECT_EQ(hear(client, 1), words_of(ECONNREFUSED));
}

// ---- pings ---------------------------------------------------------------------------------------------------------

class PingTest : public FamilyFixture {
 protected:
  static std::string reply(std::string_view payload) {
    return std::string(1, static_cast<char>(family() == Family::v4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY))
        .append(payload);
  }
  static std::string without_the_kernels(const std::string& message) {
    return message.size() < 8 ? message : message.substr(0, 1) + message.substr(8);
  }
};
MSB_BOTH_FAMILIES(PingTest);

TEST_P(PingTest, TheHostsKernelAnswersThroughItsPingSocket) {
  start({});
  EXPECT_EQ(without_the_kernels(hear(ping(host(), "who is there"), 20)), reply("who is there"));
}

TEST_P(PingTest, TheGatewayAnswersForItself) {
  start(with_rules("deny@any"));
  EXPECT_EQ(without_the_kernels(hear(ping(gateway(), "gateway?"), 16)), reply("gateway?"));
}

TEST_P(PingTest, WhatTheHostCannotReachIsToldToTheGuest) {
  start({});
  const Ip nowhere = Ip::parse(family() == Family::v4 ? "198.41.0.4" : "2001:503:ba3e::2:30").value();
  EXPECT_EQ(hear(ping(nowhere, "lost"), 12), words_of(ENETUNREACH));
}

}  // namespace
}  // namespace msb::net
