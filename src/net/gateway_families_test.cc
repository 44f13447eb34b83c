// Hosts that have one family only, and guests that have another one or both: what is not there fails at once, so that
// programs with two addresses to try (RFC 8305, "Happy Eyeballs") arrive.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>

#include <atomic>

#include "net/dns/answer_pins.h"
#include "net/dns/testing/dns_messages.h"
#include "net/dns/testing/fake_upstream.h"
#include "net/gateway.h"
#include "net/testing/gateway_fixture.h"
#include "net/testing/interfaces.h"

namespace msb::net {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): the words of the fixture
using Families = HostNamespace::Families;

const Ip kHostV4 = HostNamespace::address(Family::v4);
const Ip kHostV6 = HostNamespace::address(Family::v6);
constexpr char kName[] = "both.example.com";

// The family is the host's only one.
class OneFamilyTest : public FamilyFixture {
 protected:
  static Family other() { return family() == Family::v4 ? Family::v6 : Family::v4; }
  static Families host_has() { return family() == Family::v4 ? Families::only_v4 : Families::only_v6; }
  static GatewayThread::Beside nothing_beside(Reactor&, NetworkConfig&) { return {}; }

  // A nameserver on the host's loopback that knows the addresses of kName, in both families.
  void start_with_names() {
    start(
        {},
        [this](Reactor& reactor, NetworkConfig& network) {
          auto upstream = std::make_shared<FakeUpstream>(
              reactor,
              [this](const DnsMessage& query) {
                ++asked_;
                const bool v4 = query.questions()[0].type == DnsType::a;
                return std::vector<Bytes>{Answer(query).address(kName, (v4 ? kHostV4 : kHostV6).to_string()).bytes()};
              },
              FakeUpstream::Script(), loopback());
          network.dns.nameservers = {upstream->endpoint().to_string()};
          return GatewayThread::Beside{{}, upstream};
        },
        host_has());
  }
  // As a guest's resolver asks: at the gateway's address of that family.
  std::vector<Ip> resolve(DnsType type, const Ip& server) const {
    const Fd resolver = GatewayFixture::guest_socket(server.family(), SOCK_DGRAM);
    EXPECT_EQ(connect_to(resolver, {server, 53}), 0);
    say(resolver, as_text(dns_query(kName, type)));
    Bytes reply(512);
    const ssize_t size = ::recv(resolver.get(), reply.data(), reply.size(), 0);
    if (size <= 0) return {};
    reply.resize(static_cast<size_t>(size));
    return all_addresses(DnsMessage::parse(reply).value());
  }

  std::atomic<int> asked_ = 0;
};
MSB_BOTH_FAMILIES(OneFamilyTest);

TEST_P(OneFamilyTest, TheFamilyThatTheHostHasWorksForAGuestOfBoth) {
  start({}, nothing_beside, host_has());
  Endpoint at;
  const Fd listener = serve(host(), at);
  const Fd client = guest_socket();
  ASSERT_EQ(connect_to(client, at), 0);
  say(accept_one(listener), "here");
  EXPECT_EQ(hear(client, 4), "here");
}

TEST_P(OneFamilyTest, TheOtherFamilyIsUnreachableAtOnce) {
  start({}, nothing_beside, host_has());
  EXPECT_EQ(try_connect({HostNamespace::address(other()), 80}), ENETUNREACH);
  const Fd datagrams = GatewayFixture::guest_socket(other(), SOCK_DGRAM);
  want_all_errors(datagrams);
  ASSERT_EQ(connect_to(datagrams, {HostNamespace::address(other()), 80}), 0);
  say(datagrams, "anybody?");
  EXPECT_EQ(hear(datagrams, 1), words_of(ENETUNREACH));
}

TEST_P(OneFamilyTest, EveryAddressOfTheGatewayReachesTheLoopbackThatTheHostHas) {
  start(with_rules("allow@host:tcp"), nothing_beside, host_has());
  Endpoint at;
  const Fd listener = serve(loopback(), at);
  for (const auto& ends : {link().v4, link().v6}) {
    const Fd client = GatewayFixture::guest_socket(ends->gateway.family());
    ASSERT_EQ(connect_to(client, {ends->gateway, at.port}), 0) << ends->gateway.to_string();
    say(accept_one(listener), "local");
    EXPECT_EQ(hear(client, 5), "local");
  }
}

TEST_P(OneFamilyTest, DatagramsToEveryAddressOfTheGatewayDoSoToo) {
  start(with_rules("allow@host:udp"), nothing_beside, host_has());
  const Fd server = host_socket(family(), SOCK_DGRAM);
  const Endpoint at = bind_at(server, {loopback(), 0});
  for (const auto& ends : {link().v4, link().v6}) {
    const Fd client = GatewayFixture::guest_socket(ends->gateway.family(), SOCK_DGRAM);
    ASSERT_EQ(connect_to(client, {ends->gateway, at.port}), 0);
    say(client, "ping");
    hear_and_reply(server, "ping", "pong");
    EXPECT_EQ(hear(client, 4), "pong") << ends->gateway.to_string();
  }
}

TEST_P(OneFamilyTest, AClientThatTriesBothAddressesOfANameArrives) {
  start_with_names();
  Endpoint at;
  const Fd listener = serve(host(), at);
  // The address that does not work first, as it may come.
  const DnsType types[] = {family() == Family::v4 ? DnsType::aaaa : DnsType::a,
                           family() == Family::v4 ? DnsType::a : DnsType::aaaa};
  std::vector<int> outcomes;
  for (const DnsType type : types)
    for (const Ip& ip : resolve(type, gateway())) outcomes.push_back(try_connect({ip, at.port}));
  EXPECT_EQ(outcomes, (std::vector<int>{ENETUNREACH, 0}));
}

// A guest as `msb` makes it on such a host.
class OneFamilyGuestTest : public OneFamilyTest {
 protected:
  LinkConfig link() const override {
    LinkConfig link = TapGuest::link_config();
    (family() == Family::v4 ? link.v6 : link.v4).reset();
    return link;
  }
};
MSB_BOTH_FAMILIES(OneFamilyGuestTest);

TEST_P(OneFamilyGuestTest, NamesHaveNoAddressesOfTheFamilyThatIsMissingAndNobodyIsAskedForThem) {
  start_with_names();
  const DnsType mine = family() == Family::v4 ? DnsType::a : DnsType::aaaa;
  const DnsType missing = family() == Family::v4 ? DnsType::aaaa : DnsType::a;
  EXPECT_EQ(resolve(missing, gateway()), std::vector<Ip>());
  EXPECT_EQ(asked_, 0);
  EXPECT_EQ(resolve(mine, gateway()), std::vector<Ip>{host()});
  EXPECT_EQ(asked_, 1);
}

TEST_P(OneFamilyGuestTest, TheGuestItselfKnowsThatTheOtherFamilyIsMissing) {
  start({}, nothing_beside, host_has());
  EXPECT_EQ(try_connect({HostNamespace::address(other()), 80}), ENETUNREACH);
  Endpoint at;
  const Fd listener = serve(host(), at);
  EXPECT_EQ(try_connect(at), 0);
}

// ---- an IPv6 that is there and leads nowhere
// -------------------------------------------------------------------------

class SilentFamilyTest : public GatewayFixture {};

TEST_F(SilentFamilyTest, IsNeitherAcceptedNorInTheWayOfTheOther) {
  const Ip silent = Ip::parse("2001:503:ba3e::2:30").value();
  start({}, [&](Reactor&, NetworkConfig&) {
    // What arrives at loopback for nobody is dropped without a word.
    EXPECT_TRUE(add_route("lo", {silent, 48}));
    return GatewayThread::Beside();
  });
  Endpoint at;
  const Fd listener = serve(kHostV4, at);
  const Fd first = guest_socket(Family::v6), second = guest_socket(Family::v4);
  ASSERT_EQ(::fcntl(first.get(), F_SETFL, O_NONBLOCK), 0);
  ASSERT_EQ(connect_to(first, {silent, at.port}), EINPROGRESS);
  ASSERT_EQ(connect_to(second, at), 0);
  say(accept_one(listener), "faster");
  EXPECT_EQ(hear(second, 6), "faster");
  pollfd undecided{.fd = first.get(), .events = POLLOUT, .revents = 0};
  EXPECT_EQ(::poll(&undecided, 1, 0), 0);
}

}  // namespace
}  // namespace msb::net
