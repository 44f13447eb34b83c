// Published ports: clients of the host's, by either family, and the guest's services.
#include <gmock/gmock.h>

#include "net/gateway.h"
#include "net/testing/gateway_fixture.h"

namespace msb::net {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): the words of the fixture
using ::testing::HasSubstr;
using ::testing::SizeIs;

class PublishedFixture : public GatewayFixture {
 protected:
  void publish(NetworkConfig config, const std::string& binding) {
    // As the agent does in a guest: its loopback is reached from outside.
    guest_->run([] {
      const auto file = open_file("/proc/sys/net/ipv4/conf/tap0/route_localnet", O_WRONLY);
      ASSERT_TRUE(file && write_full(file->get(), as_bytes("1")));
    });
    config.ports = {PortBinding::parse(binding).value()};
    start(config, [](Reactor&, NetworkConfig& published) {
      return GatewayThread::Beside{bind_ports(published.ports).value(), {}};
    });
  }
  Endpoint published() const {
    const auto& port = gateway_->ports().at(0);
    return {Ip::parse(port.bind).value(), port.host_port};
  }
  Fd client(int type = SOCK_STREAM) {
    Fd socket = host_socket(published().ip.family(), type);
    EXPECT_EQ(connect_to(socket, published()), 0);
    return socket;
  }
  // A service of the guest's, at this address of its own.
  Fd guest_listener(const Ip& ip) {
    Fd listener = guest_socket(ip.family());
    listen_at(listener, {ip, 80});
    return listener;
  }
  static void expect_conversation(const Fd& client, const Fd& server) {
    say(client, "hello");
    EXPECT_EQ(hear(server, 5), "hello");
    say(server, "world");
    EXPECT_EQ(hear(client, 5), "world");
  }
};

// A port of one family that leads to a guest of that family alone.
class PublishedTest : public PublishedFixture, public ::testing::WithParamInterface<Family> {
 protected:
  LinkConfig link() const override {
    LinkConfig link = TapGuest::link_config();
    (GetParam() == Family::v4 ? link.v6 : link.v4).reset();
    return link;
  }
  LinkAddresses ends() const { return link().v4 ? *link().v4 : *link().v6; }
  static std::string binding(std::string_view rest) { return cat(GetParam() == Family::v4 ? "0:" : "[::1]:0:", rest); }
};
MSB_BOTH_FAMILIES(PublishedTest);

TEST_P(PublishedTest, ClientOfTheHostReachesTheGuest) {
  publish({}, binding("80"));
  const Fd listener = guest_listener(ends().guest);
  const Fd peer = client();
  expect_conversation(peer, accept_one(listener));
}

TEST_P(PublishedTest, PortWithoutAServiceResetsItsClient) {
  publish({}, binding("80"));
  EXPECT_EQ(hear(client(), 1), "reset");
}

TEST_P(PublishedTest, PeerThatIsNotAdmittedIsResetAndTold) {
  NetworkConfig config;
  config.policy.rules = NetworkRule::parse_all("deny:ingress@loopback:tcp:80").value();
  publish(config, binding("80"));
  EXPECT_EQ(hear(client(), 1), "reset");
  ASSERT_THAT(gateway_->denials(), SizeIs(1));
  EXPECT_EQ(gateway_->denials()[0].guest_port, 80);
}

TEST_P(PublishedTest, DatagramsFindTheirWayBackToTheirPeer) {
  publish({}, binding("53/udp"));
  const Fd server = guest_socket(GetParam(), SOCK_DGRAM);
  bind_at(server, {ends().guest, 53});
  const Fd peer = client(SOCK_DGRAM);
  say(peer, "ping");
  EXPECT_EQ(hear_and_reply(server, "ping", "pong").ip, ends().gateway);
  EXPECT_EQ(hear(peer, 4), "pong");
}

TEST_P(PublishedTest, ThousandClientsAtOnceAreAllServed) {
  NetworkConfig config;
  config.max_connections = 1024;
  publish(config, binding("80"));
  const Fd listener = guest_listener(ends().guest);
  std::vector<Fd> clients, servers;
  for (int i = 0; i < 1000; ++i) clients.push_back(client());
  for (int i = 0; i < 1000; ++i) {
    servers.push_back(accept_one(listener));
    ASSERT_TRUE(servers.back()) << i << " " << words_of(errno);
    say(servers.back(), "welcome");
  }
  for (const Fd& peer : clients) ASSERT_EQ(hear(peer, 7), "welcome");
}

// ---- a guest with both families ------------------------------------------------------------------------------------

class PublishedOfBothTest : public PublishedFixture {};

TEST_F(PublishedOfBothTest, ServiceOnTheGuestsLoopbackIsReached) {
  publish({}, "0:80");
  const Fd listener = guest_listener(Ip::v4(127, 0, 0, 1));
  const Fd peer = client();
  expect_conversation(peer, accept_one(listener));
}

TEST_F(PublishedOfBothTest, AnIpv6PortLeadsToTheGuestsIpv4Service) {
  publish({}, "[::1]:0:80");
  const Fd listener = guest_listener(link().v4->guest);
  const Fd peer = client();
  expect_conversation(peer, accept_one(listener));
}

class PublishedOfV6Test : public PublishedFixture {
 protected:
  LinkConfig link() const override {
    LinkConfig link = TapGuest::link_config();
    link.v4.reset();
    return link;
  }
};

TEST_F(PublishedOfV6Test, AnIpv4PortLeadsToAGuestThatHasIpv6Only) {
  publish({}, "0:80");
  const Fd listener = guest_listener(link().v6->guest);
  const Fd peer = client();
  expect_conversation(peer, accept_one(listener));
}

TEST(BindPorts, TakenPortIsNamed) {
  auto first = bind_ports({PortBinding::parse("0:80").value()});
  ASSERT_TRUE(first);
  const uint16_t taken = first->at(0).binding.host_port;
  EXPECT_NE(taken, 0);
  auto second = bind_ports({PortBinding::parse(cat(taken, ":80")).value()});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().errnum(), EADDRINUSE);
  EXPECT_THAT(second.error().to_string(), HasSubstr(cat("port ", taken, ":80")));
  EXPECT_THAT(second.error().hints().at(0), HasSubstr("-p 0:80"));
}

}  // namespace
}  // namespace msb::net
