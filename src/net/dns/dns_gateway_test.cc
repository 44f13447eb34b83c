#include "net/dns/dns_gateway.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "net/dns/dns_reply.h"
#include "net/dns/testing/dns_messages.h"
#include "net/dns/testing/fake_upstream.h"
#include "net/dns/testing/gateway_rig.h"

namespace msb::net {
namespace {

using testing::Answer;
using testing::dns_query;
using testing::FakeUpstream;
using Names = std::vector<std::string>;
using Replies = std::vector<Bytes>;
constexpr auto kTcp = NetworkProtocol::tcp;
constexpr auto kUdp = NetworkProtocol::udp;

class DnsGatewayTest : public ::testing::Test {
 protected:
  // A server that answers everything with this address.
  static FakeUpstream::Script says(std::string ip) {
    return
        [ip](const DnsMessage& query) { return Replies{Answer(query).address(query.questions()[0].name, ip).bytes()}; };
  }
  static FakeUpstream::Script is_silent() {
    return [](const DnsMessage&) { return Replies(); };
  }
  static std::vector<std::string> addresses(const Bytes& reply) {
    std::vector<std::string> out;
    const auto message = DnsMessage::parse(reply).value();
    for (const DnsRecord& record : message.answers()) {
      for (const Ip& ip : message.addresses(record)) out.push_back(ip.to_string());
    }
    return out;
  }
  static DnsRcode rcode(const Bytes& reply) { return DnsMessage::parse(reply).value().rcode(); }

  testing::GatewayRig rig_;
};

TEST_F(DnsGatewayTest, AnAnswerComesBackToTheByteAndPinsItsNames) {
  Bytes sent;
  FakeUpstream server(rig_.reactor(), [&](const DnsMessage& query) {
    // Among it a record of a type that nobody here knows.
    sent = Answer(query)
               .alias("www.example.com", "cdn.example.net")
               .address("cdn.example.net", "93.184.216.34")
               .record("cdn.example.net", static_cast<DnsType>(65280), {1, 2, 3})
               .bytes();
    return Replies{sent};
  });
  rig_.start("", {server.endpoint()});
  const Bytes reply = rig_.ask(dns_query("www.example.com", DnsType::a, {.id = 0xbeef}));
  store_be(sent.data(), uint16_t{0xbeef});
  EXPECT_EQ(reply, sent);
  EXPECT_EQ(rig_.names("93.184.216.34"), (Names{"cdn.example.net", "www.example.com"}));
  EXPECT_TRUE(rig_.denials().empty());
}

TEST_F(DnsGatewayTest, EveryQueryHasAPortAndAnIdOfItsOwn) {
  std::vector<uint16_t> ids;
  std::vector<uint16_t> ports;
  FakeUpstream* self = nullptr;
  FakeUpstream server(rig_.reactor(), [&](const DnsMessage& query) {
    ids.push_back(query.id());
    ports.push_back(self->client().port);
    return Replies{Answer(query).bytes()};
  });
  self = &server;
  rig_.start("", {server.endpoint()});
  for (int i = 0; i < 8; ++i) rig_.ask(dns_query("example.com", DnsType::a, {.id = 1}));
  EXPECT_NE(std::vector<uint16_t>(8, ids[0]), ids);
  EXPECT_NE(std::vector<uint16_t>(8, ports[0]), ports);
}

TEST_F(DnsGatewayTest, WhatIsNotTheAnswerIsPassedOver) {
  FakeUpstream server(rig_.reactor(), [](const DnsMessage& query) {
    const auto name = query.questions()[0].name;
    const Bytes other = dns_query("other.example", DnsType::a, {.id = query.id()});
    return Replies{
        Answer(query).address(name, "6.6.6.1").id(query.id() ^ 1).bytes(),
        Answer(DnsMessage::parse(other).value()).address("other.example", "6.6.6.2").bytes(),
        Bytes{1, 2, 3},
        Bytes(query.bytes().begin(), query.bytes().end()),  // no response
        Answer(query).address(name, "93.184.216.34").bytes(),
    };
  });
  rig_.start("", {server.endpoint()});
  EXPECT_EQ(addresses(rig_.ask(dns_query("example.com", DnsType::a))), (Names{"93.184.216.34"}));
}

TEST_F(DnsGatewayTest, AnAnswerFromAnotherPlaceNeverArrives) {
  const Fd spoofer(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  FakeUpstream* self = nullptr;
  FakeUpstream server(rig_.reactor(), [&](const DnsMessage& query) {
    const Bytes forged = Answer(query).address(query.questions()[0].name, "6.6.6.6").bytes();
    const SocketAddress to = to_socket_address(self->client());
    ::sendto(spoofer.get(), forged.data(), forged.size(), 0, to.get(), to.size);
    return Replies{Answer(query).address(query.questions()[0].name, "93.184.216.34").bytes()};
  });
  self = &server;
  rig_.start("", {server.endpoint()});
  EXPECT_EQ(addresses(rig_.ask(dns_query("example.com", DnsType::a))), (Names{"93.184.216.34"}));
}

TEST_F(DnsGatewayTest, TheNextServerIsAskedWhenOneIsSilentOrNotThere) {
  FakeUpstream silent(rig_.reactor(), is_silent());
  FakeUpstream good(rig_.reactor(), says("93.184.216.34"));
  Endpoint nobody;
  {
    const FakeUpstream gone(rig_.reactor(), is_silent());
    nobody = gone.endpoint();
  }
  rig_.network().dns.query_timeout = std::chrono::milliseconds(20);
  rig_.start("", {silent.endpoint(), nobody, good.endpoint()});
  EXPECT_EQ(addresses(rig_.ask(dns_query("example.com", DnsType::a))), (Names{"93.184.216.34"}));
  EXPECT_EQ(silent.udp_queries(), 1);
}

TEST_F(DnsGatewayTest, AnErrorOfAServerIsAnAnswer) {
  FakeUpstream failing(
      rig_.reactor(), [](const DnsMessage& query) { return Replies{Answer(query, DnsRcode::server_failure).bytes()}; });
  FakeUpstream other(rig_.reactor(), says("93.184.216.34"));
  rig_.start("", {failing.endpoint(), other.endpoint()});
  EXPECT_EQ(rcode(rig_.ask(dns_query("example.com", DnsType::a))), DnsRcode::server_failure);
  EXPECT_EQ(other.udp_queries(), 0);
}

TEST_F(DnsGatewayTest, NoServerAtAllIsAFailure) {
  FakeUpstream silent(rig_.reactor(), is_silent());
  rig_.network().dns.query_timeout = std::chrono::milliseconds(20);
  rig_.start("", {silent.endpoint()});
  EXPECT_EQ(rcode(rig_.ask(dns_query("example.com", DnsType::a))), DnsRcode::server_failure);
  testing::GatewayRig without;
  without.start("", {});
  EXPECT_EQ(rcode(without.ask(dns_query("example.com", DnsType::a))), DnsRcode::server_failure);
}

TEST_F(DnsGatewayTest, ACutAnswerIsFetchedOverTcp) {
  FakeUpstream server(
      rig_.reactor(), [](const DnsMessage& query) { return Replies{Answer(query).truncated().bytes()}; },
      says("93.184.216.34"));
  rig_.start("", {server.endpoint()});
  const Bytes reply = rig_.ask(dns_query("example.com", DnsType::a));
  EXPECT_EQ(addresses(reply), (Names{"93.184.216.34"}));
  EXPECT_FALSE(DnsMessage::parse(reply)->is_truncated());
}

TEST_F(DnsGatewayTest, ACutAnswerIsPassedOnWhereThereIsNoTcp) {
  const auto cut = [](const DnsMessage& query) {
    return Replies{Answer(query).address(query.questions()[0].name, "93.184.216.34").truncated().bytes()};
  };
  FakeUpstream refusing(rig_.reactor(), cut);
  rig_.start("", {refusing.endpoint()});
  const Bytes reply = rig_.ask(dns_query("example.com", DnsType::a));
  EXPECT_TRUE(DnsMessage::parse(reply)->is_truncated());
  EXPECT_EQ(addresses(reply), (Names{"93.184.216.34"}));
  testing::GatewayRig other;
  FakeUpstream again(other.reactor(), cut, [](const DnsMessage&) { return Replies{Bytes()}; });
  other.start("", {again.endpoint()});
  EXPECT_TRUE(DnsMessage::parse(other.ask(dns_query("example.com", DnsType::a)))->is_truncated());
}

TEST_F(DnsGatewayTest, AQueryOverTcpGoesOnOverTcp) {
  FakeUpstream server(rig_.reactor(), is_silent(), says("93.184.216.34"));
  rig_.start("", {server.endpoint()});
  EXPECT_EQ(addresses(rig_.ask(dns_query("example.com", DnsType::a), kTcp)), (Names{"93.184.216.34"}));
  EXPECT_EQ(server.udp_queries(), 0);
}

TEST_F(DnsGatewayTest, AnAnswerIsCutToWhatTheGuestCanTake) {
  FakeUpstream server(rig_.reactor(), [](const DnsMessage& query) {
    Answer answer(query);
    for (int i = 0; i < 60; ++i) answer.address("many.example", "93.184.216.34");
    return Replies{answer.bytes()};
  });
  rig_.start("", {server.endpoint()});
  const Bytes cut = rig_.ask(dns_query("many.example", DnsType::a));
  EXPECT_LE(cut.size(), 512U);
  EXPECT_TRUE(DnsMessage::parse(cut)->is_truncated());
  const Bytes whole = rig_.ask(dns_query("many.example", DnsType::a, {.edns_size = 4096}));
  EXPECT_EQ(addresses(whole).size(), 60U);
}

TEST_F(DnsGatewayTest, ADeniedNameDoesNotExistAndNobodyElseHearsOfIt) {
  FakeUpstream server(rig_.reactor(), says("93.184.216.34"));
  rig_.start("allow@api.example.com:tcp:443", {server.endpoint()});
  EXPECT_EQ(rcode(rig_.ask(dns_query("c2VjcmV0.tunnel.example", DnsType::a))), DnsRcode::name_error);
  EXPECT_EQ(rcode(rig_.ask(dns_query("c2VjcmV0.api.example.com", DnsType::a))), DnsRcode::name_error);
  EXPECT_EQ(server.udp_queries(), 0);
  ASSERT_EQ(rig_.denials().size(), 2U);
  EXPECT_EQ(rig_.denials()[0].name, "c2vjcmv0.tunnel.example");
  EXPECT_EQ(rig_.denials()[0].protocol, kUdp);
  EXPECT_EQ(rig_.denials()[0].remote, std::nullopt);
  EXPECT_EQ(rig_.denials()[0].rule, "default egress");
  EXPECT_EQ(addresses(rig_.ask(dns_query("API.example.com", DnsType::a))), (Names{"93.184.216.34"}));
}

TEST_F(DnsGatewayTest, AFamilyTheGuestHasNotHasNoAddresses) {
  FakeUpstream server(rig_.reactor(), says("93.184.216.34"));
  rig_.config().v6.reset();
  rig_.network().dns.nameservers = {server.endpoint().to_string()};
  rig_.config().dns = rig_.network().dns;
  const Policy policy = Policy::compile(rig_.network(), {rig_.config().v4->gateway}).value();
  PinTable pins;
  const auto gateway = DnsGateway::create(rig_.reactor(), rig_.config(), policy, pins, [](DenialEvent) {}).value();
  Bytes reply;
  gateway->ask({.protocol = kUdp,
                .guest = {},
                .aimed = {rig_.config().v4->gateway, 53},
                .message = dns_query("example.com", DnsType::aaaa)},
               [&](Bytes bytes) { reply = std::move(bytes); });
  ASSERT_FALSE(reply.empty());
  EXPECT_EQ(rcode(reply), DnsRcode::no_error);
  EXPECT_EQ(addresses(reply), Names());
}

TEST_F(DnsGatewayTest, TheHostHasANameOfItsOwn) {
  rig_.start("", {});
  EXPECT_EQ(addresses(rig_.ask(dns_query("Host.Microsandbox.Internal", DnsType::a))), (Names{"172.16.0.1"}));
  EXPECT_EQ(addresses(rig_.ask(dns_query("host.microsandbox.internal", DnsType::aaaa))), (Names{"fd42:6d73:62::1"}));
  EXPECT_EQ(rcode(rig_.ask(dns_query("host.microsandbox.internal", DnsType::https))), DnsRcode::no_error);
  EXPECT_EQ(rig_.names("172.16.0.1"), (Names{"host.microsandbox.internal"}));
}

TEST_F(DnsGatewayTest, AnAnswerThatLeadsInsideIsWithheld) {
  std::string ip = "10.0.0.1";
  FakeUpstream server(rig_.reactor(), [&](const DnsMessage& query) {
    return Replies{Answer(query).address("rebind.example", "93.184.216.34").address("rebind.example", ip).bytes()};
  });
  rig_.start("allow@dns,allow@public,allow@192.168.1.0/24", {server.endpoint()});
  const Bytes reply = rig_.ask(dns_query("rebind.example", DnsType::a));
  EXPECT_EQ(rcode(reply), DnsRcode::name_error);
  EXPECT_EQ(addresses(reply), Names());
  EXPECT_EQ(rig_.names("93.184.216.34"), Names());
  ASSERT_EQ(rig_.denials().size(), 1U);
  EXPECT_EQ(rig_.denials()[0].rule, "DNS rebind protection: 10.0.0.1");
  for (const char* inside : {"127.0.0.1", "0.0.0.0", "169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::a00:1", "::1"}) {
    ip = inside;
    EXPECT_EQ(rcode(rig_.ask(dns_query("rebind.example", DnsType::a))), DnsRcode::name_error) << inside;
  }
  ip = "192.168.1.7";
  EXPECT_EQ(addresses(rig_.ask(dns_query("rebind.example", DnsType::a))).size(), 2U);
}

TEST_F(DnsGatewayTest, AHintThatLeadsInsideIsWithheld) {
  FakeUpstream server(rig_.reactor(), [](const DnsMessage& query) {
    return Replies{Answer(query).https("rebind.example", {"10.0.0.1"}).bytes()};
  });
  rig_.start("", {server.endpoint()});
  EXPECT_EQ(rcode(rig_.ask(dns_query("rebind.example", DnsType::https))), DnsRcode::name_error);
}

TEST_F(DnsGatewayTest, AServerOfTheGuestsChoiceNeedsARuleAndPinsNothing) {
  FakeUpstream own(rig_.reactor(), is_silent());
  rig_.start("allow@dns,deny@9.9.9.9,allow@1.1.1.1", {own.endpoint()});
  EXPECT_EQ(rcode(rig_.ask(dns_query("example.com", DnsType::a), kUdp, "9.9.9.9")), DnsRcode::name_error);
  ASSERT_EQ(rig_.denials().size(), 1U);
  EXPECT_EQ(rig_.denials()[0].remote->to_string(), "9.9.9.9:53");
  EXPECT_EQ(rig_.denials()[0].rule, "deny@9.9.9.9");
  EXPECT_EQ(own.udp_queries(), 0);
}

TEST_F(DnsGatewayTest, WhatIsNoProperQueryIsRefusedOrIgnored) {
  rig_.start("", {});
  const Bytes good = dns_query("example.com", DnsType::a, {.id = 5});
  EXPECT_EQ(rig_.ask(ByteView(good).first(11)), Bytes());
  Bytes response = good;
  response[2] |= 0x80;
  EXPECT_EQ(rig_.ask(response), Bytes());
  EXPECT_EQ(rcode(rig_.ask(ByteView(good).first(good.size() - 1))), DnsRcode::format_error);
  Bytes update = good;
  update[2] |= 5 << 3;
  EXPECT_EQ(rcode(rig_.ask(update)), DnsRcode::not_implemented);
  Bytes none = good;
  none.resize(12);
  none[5] = 0;
  EXPECT_EQ(rcode(rig_.ask(none)), DnsRcode::format_error);
  Bytes two = good;
  two.insert(two.end(), good.begin() + 12, good.end());
  two[5] = 2;
  EXPECT_EQ(rcode(rig_.ask(two)), DnsRcode::format_error);
  EXPECT_EQ(rcode(rig_.ask(dns_query("example.com", DnsType::axfr), kTcp)), DnsRcode::not_implemented);
  const Bytes bottle = Answer(DnsMessage::parse(good).value()).address("example.com", "1.2.3.4").bytes();
  Bytes query = bottle;
  query[2] = 1;
  query[3] = 0;
  EXPECT_EQ(rcode(rig_.ask(query)), DnsRcode::format_error);
}

TEST_F(DnsGatewayTest, AFloodOfQueriesIsBounded) {
  FakeUpstream silent(rig_.reactor(), is_silent());
  rig_.start("", {silent.endpoint()});
  const Bytes query = dns_query("example.com", DnsType::a);
  size_t refused = 0;
  for (size_t i = 0; i < DnsGateway::kMaximumQueries + 10; ++i) {
    rig_.gateway().ask({.protocol = kUdp, .guest = {}, .aimed = {rig_.config().v4->gateway, 53}, .message = query},
                       [&](const Bytes& reply) { refused += rcode(reply) == DnsRcode::server_failure ? 1 : 0; });
  }
  EXPECT_EQ(refused, 10U);
}

}  // namespace
}  // namespace msb::net
