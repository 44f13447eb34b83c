// A guest's connections on a host behind a proxy. The proxy is the test itself: what it is asked and what it answers
// is there to the byte.
#include <gmock/gmock.h>
#include <poll.h>

#include <future>

#include "net/testing/gateway_fixture.h"
#include "net/testing/name_service.h"

namespace msb::net {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): the words of the fixture
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using namespace std::string_view_literals;

constexpr std::string_view kConnected = "HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n";
constexpr std::string_view kSocksDone = "\5\0\0\1\0\0\0\0\0\0"sv;
const Ip kHost = HostNamespace::address(Family::v4);
const Ip kLoopback = HostNamespace::loopback(Family::v4);
// An address that no host of this test has: who reaches it was let there by the proxy.
const Endpoint kFar{Ip::v4(93, 184, 216, 35), 443};

std::string connect_request(const Endpoint& to, std::string_view more = "") {
  return cat("CONNECT ", to.to_string(), " HTTP/1.1\r\nHost: ", to.to_string(), "\r\n", more, "\r\n");
}

class ProxyGatewayTest : public GatewayFixture {
 protected:
  // `login`: "http://", "socks5://user:password@".
  void start_behind(const std::string& login, const NetworkConfig& config = {}, std::string_view exceptions = "") {
    start(config, [&](Reactor& reactor, NetworkConfig& ready) {
      listener_ = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const Endpoint at = listen_at(listener_, {kLoopback, 0});
      GatewayThread::Beside beside{.server = name_everything(reactor, ready, kHost)};
      // Nothing listens at the first of its addresses.
      beside.proxy = UpstreamProxy{.url = state::ProxyUrl::parse(login + at.to_string()).value(),
                                   .addresses = {{Ip::v4(127, 0, 0, 2), at.port}, at},
                                   .exceptions = ProxyExceptions::parse(exceptions)};
      return beside;
    });
  }
  // The proxy's part of a conversation: what it hears, and what it answers.
  struct Line {
    std::string heard;
    std::string_view said;
  };
  Fd serve_proxy(const std::vector<Line>& lines) {
    Fd peer = accept_one(listener_);
    for (const Line& line : lines) {
      EXPECT_EQ(hear(peer, line.heard.size()), line.heard);
      say(peer, line.said);
    }
    return peer;
  }
  // errno of the guest's connect() while the proxy says this; `proxy` is its socket.
  int connect_through(const Fd& client, const Endpoint& remote, const std::vector<Line>& lines, Fd& proxy) {
    auto connected = std::async(std::launch::async, [&] { return connect_to(client, remote); });
    proxy = serve_proxy(lines);
    return connected.get();
  }
  int connect_through(const std::vector<Line>& lines) {
    Fd proxy;
    return connect_through(guest_socket(Family::v4), kFar, lines, proxy);
  }
  static bool has_peer(const Fd& listener) {
    pollfd ready{listener.get(), POLLIN, 0};
    return ::poll(&ready, 1, 0) > 0;
  }
  void resolve(const std::string& name) const {
    ask_for(name, Family::v4, guest_socket(Family::v4, SOCK_DGRAM), gateway_ip());
  }
  static Ip gateway_ip() { return TapGuest::link_config().v4->gateway; }
  bool proxy_was_asked() const { return has_peer(listener_); }

  Fd listener_;
};

TEST_F(ProxyGatewayTest, ConnectWithALoginCarriesBytesBothWaysAndHalfCloses) {
  start_behind("http://me:p%40ss@");
  const Fd client = guest_socket(Family::v4);
  Fd server;
  const std::string request = connect_request(kFar, "Proxy-Authorization: Basic bWU6cEBzcw==\r\n");
  ASSERT_EQ(connect_through(client, kFar, {{request, kConnected}}, server), 0);
  question_and_answer(client, server);
}

TEST_F(ProxyGatewayTest, SocksWithALoginCarriesBytesBothWays) {
  start_behind("socks5://me:pass@");
  const Fd client = guest_socket(Family::v4);
  Fd server;
  ASSERT_EQ(connect_through(client, kFar,
                            {{std::string("\5\2\0\2", 4), "\5\2"sv},
                             {std::string("\1\2me\4pass", 9), "\1\0"sv},
                             {std::string("\5\1\0\1\x5d\xb8\xd8\x23\1\xbb", 10), kSocksDone}},
                            server),
            0);
  say(client, "question");
  EXPECT_EQ(hear(server, 8), "question");
  say(server, "answer");
  EXPECT_EQ(hear(client, 6), "answer");
}

TEST_F(ProxyGatewayTest, AddressesOfBothFamiliesAreAskedFor) {
  start_behind("http://");
  const Endpoint far{Ip::parse("2606:4700::1111").value(), 443};
  const Fd client = guest_socket(Family::v6);
  Fd server;
  EXPECT_EQ(
      connect_through(client, far,
                      {{"CONNECT [2606:4700::1111]:443 HTTP/1.1\r\nHost: [2606:4700::1111]:443\r\n\r\n", kConnected}},
                      server),
      0);
}

TEST_F(ProxyGatewayTest, ServerThatSpeaksFirstIsHeardByTheGuest) {
  start_behind("http://");
  const Fd client = guest_socket(Family::v4);
  Fd server;
  const std::string glued = cat(kConnected, "220 welcome");
  ASSERT_EQ(connect_through(client, kFar, {{connect_request(kFar), glued}}, server), 0);
  EXPECT_EQ(hear(client, 11), "220 welcome");
}

TEST_F(ProxyGatewayTest, RefusalThroughTheProxyIsWhatTheGuestWouldSeeDirectly) {
  start_behind("socks5://");
  const Line hello{std::string("\5\1\0", 3), "\5\0"sv};
  const std::string ask("\5\1\0\1\x5d\xb8\xd8\x23\1\xbb", 10);
  EXPECT_EQ(connect_through({hello, {ask, "\5\5"sv}}), ECONNREFUSED);
  EXPECT_EQ(connect_through({hello, {ask, "\5\4\0\1\0\0\0\0\0\0"sv}}), EHOSTUNREACH);
  EXPECT_EQ(connect_through({hello, {ask, "\5\3"sv}}), ENETUNREACH);
  EXPECT_THAT(gateway_->troubles(), SizeIs(0));
  EXPECT_THAT(gateway_->denials(), SizeIs(0));
}

TEST_F(ProxyGatewayTest, WrongLoginIsRefusedAndToldOnceWithoutThePassword) {
  start_behind("http://me:secret@");
  const std::string request = connect_request(kFar, "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n");
  const std::string_view reply = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 4\r\n\r\nlate";
  EXPECT_EQ(connect_through({{request, reply}}), ECONNREFUSED);
  EXPECT_EQ(connect_through({{request, reply}}), ECONNREFUSED);
  ASSERT_THAT(gateway_->troubles(), SizeIs(1));
  EXPECT_THAT(gateway_->troubles()[0], HasSubstr("wants another user or password"));
  EXPECT_THAT(gateway_->troubles()[0], HasSubstr("http://me:***@127.0.0.1:"));
  EXPECT_THAT(gateway_->troubles()[0], Not(HasSubstr("secret")));
}

TEST_F(ProxyGatewayTest, ProxyThatHangsUpRefuses) {
  start_behind("http://");
  auto connected =
      std::async(std::launch::async, [client = guest_socket(Family::v4)] { return connect_to(client, kFar); });
  accept_one(listener_).reset();
  EXPECT_EQ(connected.get(), ECONNREFUSED);
  EXPECT_THAT(gateway_->troubles().at(0), HasSubstr("hangs up"));
}

TEST_F(ProxyGatewayTest, DeadProxyRefusesAndNothingGoesPastIt) {
  start_behind("http://");
  listener_.reset();
  Endpoint at;
  const Fd server = serve(kHost, at);
  EXPECT_EQ(try_connect(at), ECONNREFUSED);
  ASSERT_THAT(gateway_->troubles(), SizeIs(1));
  EXPECT_THAT(gateway_->troubles()[0], HasSubstr("cannot be reached"));
  EXPECT_FALSE(has_peer(server));
}

TEST_F(ProxyGatewayTest, WhatIsDeniedIsNotAskedOfTheProxy) {
  start_behind("http://");
  EXPECT_EQ(try_connect({Ip::v4(10, 0, 0, 1), 80}), ECONNREFUSED);
  EXPECT_EQ(gateway_->denials().at(0).rule, "default egress");
  EXPECT_FALSE(proxy_was_asked());
}

TEST_F(ProxyGatewayTest, NameIsJudgedFirstAndItsAddressIsAskedOfTheProxy) {
  start_behind("http://", with_rules("allow@good.example.com:tcp"));
  resolve("good.example.com");
  const Endpoint at{kHost, 80};
  constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: good.example.com\r\n\r\n";
  const Fd client = guest_socket(Family::v4);
  ASSERT_EQ(connect_to(client, at), 0);
  say(client, kRequest);
  const Fd server = serve_proxy({{connect_request(at), kConnected}});
  EXPECT_EQ(hear(server, kRequest.size()), kRequest);
  const Fd liar = guest_socket(Family::v4);
  ASSERT_EQ(connect_to(liar, at), 0);
  say(liar, "GET / HTTP/1.1\r\nHost: evil.example.com\r\n\r\n");
  EXPECT_EQ(hear(liar, 1), "reset");
  EXPECT_FALSE(proxy_was_asked());
}

TEST_F(ProxyGatewayTest, GatewayAndExceptionsAreReachedDirectly) {
  start_behind("http://", with_rules("allow@host,allow@public"), "93.184.216.0/24");
  Endpoint near, local;
  const Fd host = serve(kHost, near), loopback = serve(kLoopback, local);
  const Fd first = guest_socket(Family::v4), second = guest_socket(Family::v4);
  EXPECT_EQ(connect_to(first, near), 0);
  EXPECT_EQ(connect_to(second, {gateway_ip(), local.port}), 0);
  EXPECT_TRUE(accept_one(host));
  EXPECT_TRUE(accept_one(loopback));
  EXPECT_FALSE(proxy_was_asked());
}

TEST_F(ProxyGatewayTest, ExceptionByNameCountsOnceItsAddressIsKnown) {
  start_behind("http://", {}, ".example.com");
  Endpoint at;
  const Fd listener = serve(kHost, at);
  const Fd before = guest_socket(Family::v4);
  Fd proxied;
  EXPECT_EQ(connect_through(before, at, {{connect_request(at), kConnected}}, proxied), 0);
  resolve("www.example.com");
  const Fd after = guest_socket(Family::v4);
  EXPECT_EQ(connect_to(after, at), 0);
  EXPECT_TRUE(accept_one(listener));
}

TEST_F(ProxyGatewayTest, DatagramsHaveNoWayButToExceptions) {
  start_behind("http://", {}, kHost.to_string());
  const Fd server = host_socket(Family::v4, SOCK_DGRAM);
  const Endpoint at = bind_at(server, {kHost, 0});
  const Fd far = guest_socket(Family::v4, SOCK_DGRAM), near = guest_socket(Family::v4, SOCK_DGRAM);
  ASSERT_EQ(connect_to(far, kFar), 0);
  say(far, "quic");
  ASSERT_EQ(connect_to(near, at), 0);
  say(near, "ping");
  EXPECT_EQ(hear(server, 4), "ping");
  ASSERT_THAT(gateway_->denials(), SizeIs(1));
  EXPECT_EQ(gateway_->denials()[0].protocol, NetworkProtocol::udp);
  EXPECT_EQ(gateway_->denials()[0].remote, kFar);
  EXPECT_EQ(gateway_->denials()[0].rule, "upstream proxy");
}

TEST_F(ProxyGatewayTest, PingsHaveNoWayButToExceptions) {
  start_behind("http://", {}, kHost.to_string());
  const Fd far = ping(kFar.ip, "far");
  EXPECT_EQ(hear(ping(kHost, "near"), 12).substr(8), "near");
  ASSERT_THAT(gateway_->denials(), SizeIs(1));
  EXPECT_EQ(gateway_->denials()[0].protocol, NetworkProtocol::icmpv4);
  EXPECT_EQ(gateway_->denials()[0].remote, (Endpoint{kFar.ip, 0}));
  EXPECT_EQ(gateway_->denials()[0].rule, "upstream proxy");
}

}  // namespace
}  // namespace msb::net
