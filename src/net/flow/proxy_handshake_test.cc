#include "net/flow/proxy_handshake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace msb::net {
namespace {

using ::testing::HasSubstr;
using namespace std::string_view_literals;

const Endpoint kV4{Ip::v4(1, 2, 3, 4), 80};
const Endpoint kV6{Ip::parse("2001:db8::1").value(), 0x1234};

std::unique_ptr<ProxyHandshake> handshake(std::string_view url, const Endpoint& to = kV4) {
  return ProxyHandshake::create(state::ProxyUrl::parse(url).value(), to);
}
std::string output(ProxyHandshake& of) {
  return std::string(as_text(of.take_output()));
}
// What becomes of a reply that comes in one piece.
struct Outcome {
  size_t taken = 0;
  bool done = false;
  int errnum = -1;  // -1: no error
  std::string message = {};
  bool operator==(const Outcome&) const = default;
};
Outcome outcome(std::string_view url, std::initializer_list<std::string_view> replies) {
  auto with = handshake(url);
  Outcome out;
  for (const std::string_view reply : replies) {
    (void)with->take_output();
    const auto taken = with->receive(as_bytes(reply));
    if (!taken) return {.errnum = taken.error().errnum(), .message = taken.error().message()};
    out = {.taken = *taken, .done = with->done()};
  }
  return out;
}
Outcome http(std::string_view reply) {
  return outcome("http://proxy:1", {reply});
}
Outcome socks(std::string_view reply) {
  return outcome("socks5://proxy:1", {"\5\0"sv, reply});
}

TEST(ConnectHandshakeTest, AsksForTheAddressWithTheLogin) {
  EXPECT_EQ(output(*handshake("http://proxy:1")), "CONNECT 1.2.3.4:80 HTTP/1.1\r\nHost: 1.2.3.4:80\r\n\r\n");
  EXPECT_EQ(output(*handshake("http://u:p%0d%0a@proxy:1", kV6)),
            "CONNECT [2001:db8::1]:4660 HTTP/1.1\r\nHost: [2001:db8::1]:4660\r\n"
            "Proxy-Authorization: Basic dTpwDQo=\r\n\r\n");
}

TEST(ConnectHandshakeTest, TheHeaderIsTakenAndNothingAfterIt) {
  EXPECT_EQ(http("HTTP/1.1 200 OK\r\n\r\n"), (Outcome{.taken = 19, .done = true}));
  EXPECT_EQ(http("HTTP/1.0 200\r\nA: b\r\n\r\nSSH-2.0"), (Outcome{.taken = 22, .done = true}));
  EXPECT_EQ(http("HTTP/1.1 204 x\n\n\r\n"), (Outcome{.taken = 16, .done = true}));
  EXPECT_EQ(http("HTTP/1.1 200 OK\r\nA: b\r\n"), (Outcome{.taken = 23, .done = false}));
}

TEST(ConnectHandshakeTest, AReplyMayComeByteByByte) {
  auto with = handshake("http://proxy:1");
  for (const char c : "HTTP/1.1 200 OK\r\nX: y\r\n\r"sv) {
    ASSERT_TRUE(with->receive(as_bytes({&c, 1})));
    ASSERT_FALSE(with->done());
  }
  EXPECT_EQ(with->receive(as_bytes("\nrest")).value(), 1u);
  EXPECT_TRUE(with->done());
  EXPECT_EQ(with->receive(as_bytes("rest")).value(), 0u);
}

TEST(ConnectHandshakeTest, RefusalsAreTheDestinationsOrTheProxys) {
  EXPECT_EQ(http("HTTP/1.1 403 No\r\n").errnum, EACCES);
  EXPECT_EQ(http("HTTP/1.1 502 Bad\r\n").errnum, ECONNREFUSED);
  EXPECT_EQ(http("HTTP/1.1 504 Late\r\n").errnum, ETIMEDOUT);
  const auto login = http("HTTP/1.1 407 Login\r\n");
  EXPECT_EQ(login.errnum, 0);
  EXPECT_THAT(login.message, HasSubstr("another user or password"));
}

TEST(ConnectHandshakeTest, NonsenseAndEndlessHeadersAreTheProxysFault) {
  for (const std::string_view reply : {"SSH-2.0"sv, "HTTP/2 200"sv, "HTTP/1.1 20x"sv, "HTTP/1.1 2\r\n"sv, "\r\n"sv})
    EXPECT_THAT(http(reply).message, HasSubstr("does not speak HTTP")) << reply;
  const auto endless = http("HTTP/1.1 200 " + std::string(ProxyHandshake::kLongestReply, 'x'));
  EXPECT_EQ(endless.errnum, 0);
  EXPECT_THAT(endless.message, HasSubstr("without end"));
}

TEST(Socks5HandshakeTest, AsksForTheAddressOfItsFamily) {
  auto with = handshake("socks5://proxy:1", kV6);
  EXPECT_EQ(output(*with), "\5\1\0"sv);
  ASSERT_TRUE(with->receive(as_bytes("\5\0"sv)));
  EXPECT_EQ(output(*with), "\5\1\0\4\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x12\x34"sv);
}

TEST(Socks5HandshakeTest, LogsInOnlyWhenTheProxyWantsIt) {
  auto with = handshake("socks5://u:pw@proxy:1");
  EXPECT_EQ(output(*with), "\5\2\0\2"sv);
  ASSERT_TRUE(with->receive(as_bytes("\5\2"sv)));
  EXPECT_EQ(output(*with), "\1\1u\2pw"sv);
  ASSERT_TRUE(with->receive(as_bytes("\1\0"sv)));
  EXPECT_EQ(output(*with), "\5\1\0\1\1\2\3\4\0\x50"sv);
  auto without = handshake("socks5://u:pw@proxy:1");
  (void)without->take_output();
  ASSERT_TRUE(without->receive(as_bytes("\5\0"sv)));
  EXPECT_EQ(output(*without), "\5\1\0\1\1\2\3\4\0\x50"sv);
}

TEST(Socks5HandshakeTest, TheReplyIsTakenWhateverAddressItHas) {
  EXPECT_EQ(socks("\5\0\0\1\1\2\3\4\5\6rest"sv), (Outcome{.taken = 10, .done = true}));
  EXPECT_EQ(socks("\5\0\0\4\1\2\3\4\1\2\3\4\1\2\3\4\1\2\3\4\5\6rest"sv), (Outcome{.taken = 22, .done = true}));
  EXPECT_EQ(socks("\5\0\0\3\3abc\5\6rest"sv), (Outcome{.taken = 10, .done = true}));
  EXPECT_EQ(socks("\5\0\0\3\0\5\6rest"sv), (Outcome{.taken = 7, .done = true}));
  EXPECT_EQ(socks("\5\0\0\1\1\2\3\4\5"sv), (Outcome{.taken = 9, .done = false}));
}

TEST(Socks5HandshakeTest, RefusalsAreTheDestinationsOrTheProxys) {
  EXPECT_EQ(socks("\5\1"sv).errnum, ECONNREFUSED);
  EXPECT_EQ(socks("\5\2"sv).errnum, EACCES);
  EXPECT_EQ(socks("\5\3"sv).errnum, ENETUNREACH);
  EXPECT_EQ(socks("\5\4"sv).errnum, EHOSTUNREACH);
  EXPECT_EQ(socks("\5\5"sv).errnum, ECONNREFUSED);
  EXPECT_EQ(socks("\5\6"sv).errnum, EHOSTUNREACH);
  EXPECT_EQ(socks("\5\10"sv).errnum, EAFNOSUPPORT);
  EXPECT_EQ(socks("\5\7"sv).errnum, 0);
  EXPECT_EQ(socks("\4\0"sv).errnum, 0);
  EXPECT_EQ(socks("\5\0\0\2"sv).errnum, 0);
  EXPECT_THAT(outcome("socks5://proxy:1", {"\5\xff"sv}).message, HasSubstr("wants a user and password"));
  EXPECT_THAT(outcome("socks5://proxy:1", {"\5\2"sv}).message, HasSubstr("wants a user and password"));
  EXPECT_THAT(outcome("socks5://u:p@proxy:1", {"\5\xff"sv}).message, HasSubstr("neither our login nor none"));
  EXPECT_THAT(outcome("socks5://u:p@proxy:1", {"\5\2"sv, "\1\1"sv}).message, HasSubstr("another user or password"));
  EXPECT_THAT(outcome("socks5://proxy:1", {"HTTP/1.1 400"sv}).message, HasSubstr("does not speak SOCKS 5"));
}

}  // namespace
}  // namespace msb::net
