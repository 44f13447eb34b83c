// The whole network of a guest, between two kernels: the guest's is a namespace with a tap device, the host's another
// one.
#include "net/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <numeric>

#include "net/dns/testing/dns_messages.h"
#include "net/dns/testing/fake_upstream.h"
#include "net/testing/gateway_thread.h"
#include "net/testing/tap_guest.h"

namespace msb::net {
namespace {

using testing::GatewayThread;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using testing::TapGuest;

const Ip kHost = GatewayThread::host_address();
const Ip kLoopback = Ip::v4(127, 0, 0, 1);

void set_patience(const Fd& socket) {
  const timeval limit{.tv_sec = 30, .tv_usec = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

// errno of connect(), 0 when it worked.
int connect_to(const Fd& socket, const Endpoint& remote) {
  const SocketAddress to = to_socket_address(remote);
  return ::connect(socket.get(), to.get(), to.size) == 0 ? 0 : errno;
}

void say(const Fd& socket, std::string_view text) {
  ASSERT_EQ(::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}

// What comes up to this size; less at the end, and "reset" for a reset.
std::string hear(const Fd& socket, size_t size) {
  std::string text(size, '\0');
  size_t have = 0;
  while (have < size) {
    const ssize_t got = ::recv(socket.get(), text.data() + have, size - have, 0);
    if (got < 0) return errno == ECONNRESET ? "reset" : std::strerror(errno);
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  text.resize(have);
  return text;
}

Fd accept_one(const Fd& listener) {
  Fd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  set_patience(peer);
  return peer;
}

Endpoint bind_to(const Fd& socket, const Ip& ip, uint16_t port = 0, bool listens = true) {
  const SocketAddress address = to_socket_address({ip, port});
  EXPECT_EQ(::bind(socket.get(), address.get(), address.size), 0) << std::strerror(errno);
  if (listens) {
    EXPECT_EQ(::listen(socket.get(), 1024), 0);
  }
  sockaddr_storage real{};
  socklen_t size = sizeof(real);
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&real), &size);
  set_patience(socket);
  return to_endpoint(real);
}

class GatewayTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto guest = TapGuest::create(TapGuest::link_config());
    if (!guest) GTEST_SKIP() << "needs a tap device and a network namespace: " << guest.error().to_string();
    guest_ = std::move(*guest);
  }
  void start(
      const NetworkConfig& config,
      GatewayThread::Prepare prepare = [](Reactor&, NetworkConfig&) { return GatewayThread::Beside(); }) {
    gateway_.emplace(guest_->take_link(), config, TapGuest::link_config(), std::move(prepare));
  }
  Fd guest_socket(int type = SOCK_STREAM) {
    Fd socket = guest_->socket(AF_INET, type);
    set_patience(socket);
    return socket;
  }
  // A listener on the host; `at` becomes where it is.
  Fd serve(const Ip& ip, Endpoint& at) {
    Fd listener = gateway_->host_socket(AF_INET, SOCK_STREAM);
    at = bind_to(listener, ip);
    return listener;
  }
  static Ip gateway_ip() { return TapGuest::link_config().v4->gateway; }
  static NetworkConfig with_rules(std::string_view rules) {
    NetworkConfig config;
    config.policy = NetworkPolicy::from_profiles({});
    config.policy.rules = NetworkRule::parse_all(rules).value();
    config.dns.rebind_protection = false;
    return config;
  }

  std::unique_ptr<TapGuest> guest_;
  std::optional<GatewayThread> gateway_;
};

TEST_F(GatewayTest, ConnectionReachesThePublicHostBothWaysAndHalfCloses) {
  start({});
  Endpoint at;
  const Fd listener = serve(kHost, at);
  const Fd client = guest_socket();
  ASSERT_EQ(connect_to(client, at), 0);
  const Fd server = accept_one(listener);
  say(client, "question");
  EXPECT_EQ(hear(server, 8), "question");
  ::shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(hear(server, 1), "");
  say(server, "answer");
  ::shutdown(server.get(), SHUT_WR);
  EXPECT_EQ(hear(client, 100), "answer");
}

TEST_F(GatewayTest, ManyBytesArriveWholeInBothDirectionsAtOnce) {
  start({});
  Endpoint at;
  const Fd listener = serve(kHost, at);
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
}

TEST_F(GatewayTest, ResetOnTheHostIsAResetInTheGuestAndTheOtherWayRound) {
  start({});
  Endpoint at;
  const Fd listener = serve(kHost, at);
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

TEST_F(GatewayTest, ClosedPortIsRefusedInTheGuest) {
  start({});
  EXPECT_EQ(connect_to(guest_socket(), {kHost, 1}), ECONNREFUSED);
  EXPECT_THAT(gateway_->denials(), SizeIs(0));
}

TEST_F(GatewayTest, HostsLoopbackNeedsARuleAndTheGatewaysAddress) {
  start(with_rules("allow@host:tcp"));
  Endpoint at;
  const Fd listener = serve(kLoopback, at);
  const Fd client = guest_socket();
  ASSERT_EQ(connect_to(client, {gateway_ip(), at.port}), 0);
  const Fd server = accept_one(listener);
  say(server, "local");
  EXPECT_EQ(hear(client, 5), "local");
}

TEST_F(GatewayTest, DeniedDestinationIsRefusedAndTold) {
  start({});
  Endpoint at;
  const Fd listener = serve(kLoopback, at);
  EXPECT_EQ(connect_to(guest_socket(), {gateway_ip(), at.port}), ECONNREFUSED);
  EXPECT_EQ(connect_to(guest_socket(), {Ip::v4(169, 254, 169, 254), 80}), ECONNREFUSED);
  const auto denials = gateway_->denials();
  ASSERT_THAT(denials, SizeIs(2));
  EXPECT_EQ(denials[0].remote, (Endpoint{gateway_ip(), at.port}));
  EXPECT_EQ(denials[1].rule, "default egress");
}

TEST_F(GatewayTest, DnsOverTlsIsRefused) {
  start({});
  EXPECT_EQ(connect_to(guest_socket(), {kHost, 853}), ECONNREFUSED);
  EXPECT_THAT(gateway_->denials(), SizeIs(1));
}

TEST_F(GatewayTest, ConnectionsBeyondTheLimitAreRefused) {
  NetworkConfig config;
  config.max_connections = 2;
  start(config);
  Endpoint at;
  const Fd listener = serve(kHost, at);
  const Fd first = guest_socket(), second = guest_socket();
  ASSERT_EQ(connect_to(first, at), 0);
  ASSERT_EQ(connect_to(second, at), 0);
  EXPECT_EQ(connect_to(guest_socket(), at), ECONNREFUSED);
  EXPECT_THAT(gateway_->denials().at(0).rule, HasSubstr("limit of 2 connections"));
}

TEST_F(GatewayTest, DatagramsGoAndComeBack) {
  start({});
  const Fd server = gateway_->host_socket(AF_INET, SOCK_DGRAM);
  const Endpoint at = bind_to(server, kHost, 0, false);
  const Fd client = guest_socket(SOCK_DGRAM);
  ASSERT_EQ(connect_to(client, at), 0);
  say(client, "ping");
  char text[16];
  sockaddr_storage from{};
  socklen_t size = sizeof(from);
  ASSERT_EQ(::recvfrom(server.get(), text, sizeof(text), 0, reinterpret_cast<sockaddr*>(&from), &size), 4);
  ASSERT_EQ(::sendto(server.get(), "pong", 4, 0, reinterpret_cast<sockaddr*>(&from), size), 4);
  EXPECT_EQ(hear(client, 4), "pong");
}

TEST_F(GatewayTest, DatagramToAClosedPortIsRefused) {
  start({});
  const Fd client = guest_socket(SOCK_DGRAM);
  ASSERT_EQ(connect_to(client, {kHost, 1}), 0);
  say(client, "anybody?");
  EXPECT_EQ(hear(client, 1), std::strerror(ECONNREFUSED));
}

// ---- names ---------------------------------------------------------------------------------------------------------

class NamedGatewayTest : public GatewayTest {
 protected:
  // A gateway whose DNS gives kHost for every name, and a guest that has asked for `name`.
  void start_named(std::string_view rules, const std::string& name) {
    start(with_rules(rules), [&](Reactor& reactor, NetworkConfig& config) {
      auto upstream = std::make_shared<testing::FakeUpstream>(reactor, [](const DnsMessage& query) {
        return std::vector<Bytes>{testing::Answer(query).address(query.questions()[0].name, kHost.to_string()).bytes()};
      });
      config.dns.nameservers = {upstream->endpoint().to_string()};
      return GatewayThread::Beside{{}, upstream};
    });
    const Fd resolver = guest_socket(SOCK_DGRAM);
    ASSERT_EQ(connect_to(resolver, {gateway_ip(), 53}), 0);
    const Bytes query = testing::dns_query(name, DnsType::a, {});
    say(resolver, as_text(query));
    char reply[512];
    ASSERT_GT(::recv(resolver.get(), reply, sizeof(reply), 0), 12);
  }
};

constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: good.example.com\r\n\r\n";
constexpr std::string_view kOtherRequest = "GET / HTTP/1.1\r\nHost: evil.example.com\r\n\r\n";

TEST_F(NamedGatewayTest, AllowedNameConnectsOnceItIsShown) {
  start_named("allow@good.example.com:tcp", "good.example.com");
  Endpoint at;
  const Fd listener = serve(kHost, at);
  const Fd client = guest_socket();
  ASSERT_EQ(connect_to(client, at), 0);
  say(client, kRequest);
  const Fd server = accept_one(listener);
  EXPECT_EQ(hear(server, kRequest.size()), kRequest);
  say(server, "HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_EQ(hear(client, 15), "HTTP/1.1 200 OK");
  say(client, "more");
  EXPECT_EQ(hear(server, 4), "more");
}

TEST_F(NamedGatewayTest, AnotherNameAtAnAllowedAddressIsReset) {
  start_named("allow@good.example.com:tcp", "good.example.com");
  Endpoint at;
  const Fd listener = serve(kHost, at);
  const Fd client = guest_socket();
  ASSERT_EQ(connect_to(client, at), 0);
  say(client, kOtherRequest);
  EXPECT_EQ(hear(client, 1), "reset");
  ASSERT_THAT(gateway_->denials(), SizeIs(1));
  EXPECT_EQ(gateway_->denials()[0].name, "evil.example.com");
}

TEST_F(NamedGatewayTest, AddressThatWasNeverResolvedMatchesNoName) {
  start(with_rules("allow@good.example.com:tcp"));
  EXPECT_EQ(connect_to(guest_socket(), {kHost, 80}), ECONNREFUSED);
}

// ---- published ports -----------------------------------------------------------------------------------------------

class PublishedGatewayTest : public GatewayTest {
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
};

TEST_F(PublishedGatewayTest, ClientOfTheHostReachesTheGuest) {
  publish({}, "0:80");
  const Fd listener = guest_socket();
  bind_to(listener, TapGuest::link_config().v4->guest, 80);
  const Fd client = gateway_->host_socket(AF_INET, SOCK_STREAM);
  set_patience(client);
  ASSERT_EQ(connect_to(client, published()), 0);
  const Fd server = accept_one(listener);
  say(client, "hello");
  EXPECT_EQ(hear(server, 5), "hello");
  say(server, "world");
  EXPECT_EQ(hear(client, 5), "world");
}

TEST_F(PublishedGatewayTest, ServiceOnTheGuestsLoopbackIsReached) {
  publish({}, "0:80");
  const Fd listener = guest_socket();
  bind_to(listener, kLoopback, 80);
  const Fd client = gateway_->host_socket(AF_INET, SOCK_STREAM);
  set_patience(client);
  ASSERT_EQ(connect_to(client, published()), 0);
  const Fd server = accept_one(listener);
  say(client, "hello");
  EXPECT_EQ(hear(server, 5), "hello");
}

TEST_F(PublishedGatewayTest, PortWithoutAServiceResetsItsClient) {
  publish({}, "0:80");
  const Fd client = gateway_->host_socket(AF_INET, SOCK_STREAM);
  set_patience(client);
  ASSERT_EQ(connect_to(client, published()), 0);
  EXPECT_EQ(hear(client, 1), "reset");
}

TEST_F(PublishedGatewayTest, PeerThatIsNotAdmittedIsResetAndTold) {
  NetworkConfig config;
  config.policy.rules = NetworkRule::parse_all("deny:ingress@loopback:tcp:80").value();
  publish(config, "0:80");
  const Fd client = gateway_->host_socket(AF_INET, SOCK_STREAM);
  set_patience(client);
  ASSERT_EQ(connect_to(client, published()), 0);
  EXPECT_EQ(hear(client, 1), "reset");
  ASSERT_THAT(gateway_->denials(), SizeIs(1));
  EXPECT_EQ(gateway_->denials()[0].guest_port, 80);
}

TEST_F(PublishedGatewayTest, DatagramsFindTheirWayBackToTheirPeer) {
  publish({}, "0:53/udp");
  const Fd server = guest_socket(SOCK_DGRAM);
  bind_to(server, TapGuest::link_config().v4->guest, 53, false);
  const Fd client = gateway_->host_socket(AF_INET, SOCK_DGRAM);
  set_patience(client);
  ASSERT_EQ(connect_to(client, published()), 0);
  say(client, "ping");
  char text[16];
  sockaddr_storage from{};
  socklen_t size = sizeof(from);
  ASSERT_EQ(::recvfrom(server.get(), text, sizeof(text), 0, reinterpret_cast<sockaddr*>(&from), &size), 4);
  EXPECT_EQ(to_endpoint(from).ip, gateway_ip());
  ASSERT_EQ(::sendto(server.get(), "pong", 4, 0, reinterpret_cast<sockaddr*>(&from), size), 4);
  EXPECT_EQ(hear(client, 4), "pong");
}

TEST_F(PublishedGatewayTest, ThousandClientsAtOnceAreAllServed) {
  NetworkConfig config;
  config.max_connections = 1024;
  publish(config, "0:80");
  const Fd listener = guest_socket();
  bind_to(listener, TapGuest::link_config().v4->guest, 80);
  std::vector<Fd> clients, servers;
  for (int i = 0; i < 1000; ++i) {
    clients.push_back(gateway_->host_socket(AF_INET, SOCK_STREAM));
    set_patience(clients.back());
    ASSERT_EQ(connect_to(clients.back(), published()), 0) << i;
  }
  for (int i = 0; i < 1000; ++i) {
    servers.push_back(accept_one(listener));
    ASSERT_TRUE(servers.back()) << i << " " << std::strerror(errno);
    say(servers.back(), "welcome");
  }
  for (const Fd& client : clients) ASSERT_EQ(hear(client, 7), "welcome");
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
