// Rules about names: what the gateway's DNS answered, what the first bytes of a connection show, and whether they
// agree.
#include <gmock/gmock.h>

#include "net/gateway.h"
#include "net/testing/gateway_fixture.h"
#include "net/testing/name_service.h"

namespace msb::net {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): the words of the fixture
using ::testing::SizeIs;

class NamedGatewayTest : public FamilyFixture {
 protected:
  // A gateway whose DNS gives the host's address for every name, and a guest that has asked for `name`.
  void start_named(std::string_view rules, const std::string& name) {
    start(with_rules(rules), [](Reactor& reactor, NetworkConfig& config) {
      return GatewayThread::Beside{.server = name_everything(reactor, config, host())};
    });
    ask_for(name, family(), guest_socket(SOCK_DGRAM), gateway());
  }
};
MSB_BOTH_FAMILIES(NamedGatewayTest);

constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: good.example.com\r\n\r\n";
constexpr std::string_view kOtherRequest = "GET / HTTP/1.1\r\nHost: evil.example.com\r\n\r\n";

TEST_P(NamedGatewayTest, AllowedNameConnectsOnceItIsShown) {
  start_named("allow@good.example.com:tcp", "good.example.com");
  Endpoint at;
  const Fd listener = serve(host(), at);
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

TEST_P(NamedGatewayTest, AnotherNameAtAnAllowedAddressIsReset) {
  start_named("allow@good.example.com:tcp", "good.example.com");
  Endpoint at;
  const Fd listener = serve(host(), at);
  const Fd client = guest_socket();
  ASSERT_EQ(connect_to(client, at), 0);
  say(client, kOtherRequest);
  EXPECT_EQ(hear(client, 1), "reset");
  ASSERT_THAT(gateway_->denials(), SizeIs(1));
  EXPECT_EQ(gateway_->denials()[0].name, "evil.example.com");
}

TEST_P(NamedGatewayTest, AnotherNameCannotHideBesideTheAllowedOne) {
  start_named("allow@good.example.com:tcp", "good.example.com");
  Endpoint at;
  const Fd listener = serve(host(), at);
  for (const std::string_view hidden : {"GET http://evil.example.com/ HTTP/1.1\r\nHost: good.example.com\r\n\r\n",
                                        "GET / HTTP/1.1\r\nHost: good.example.com\r\nHost: evil.example.com\r\n\r\n"}) {
    const Fd client = guest_socket();
    ASSERT_EQ(connect_to(client, at), 0);
    say(client, hidden);
    EXPECT_EQ(hear(client, 1), "reset") << hidden;
  }
  EXPECT_THAT(gateway_->denials(), SizeIs(2));
}

TEST_P(NamedGatewayTest, NameThatIsNotFinishedIsNotWaitedForBeyondTheLimit) {
  start_named("allow@good.example.com:tcp", "good.example.com");
  Endpoint at;
  const Fd listener = serve(host(), at);
  const Fd long_winded = guest_socket(), half_closed = guest_socket();
  ASSERT_EQ(connect_to(long_winded, at), 0);
  say(long_winded, "GET / HTTP/1.1\r\nX: " + std::string(20000, 'x'));
  EXPECT_EQ(hear(long_winded, 1), "reset");
  ASSERT_EQ(connect_to(half_closed, at), 0);
  say(half_closed, "GET / HTTP/1.1\r\nHost: evil.example.com\r\n");
  ::shutdown(half_closed.get(), SHUT_WR);
  EXPECT_EQ(hear(half_closed, 1), "reset");
  EXPECT_THAT(gateway_->denials(), SizeIs(2));
}

TEST_P(NamedGatewayTest, AddressThatWasNeverResolvedMatchesNoName) {
  start(with_rules("allow@good.example.com:tcp"));
  EXPECT_EQ(try_connect({host(), 80}), ECONNREFUSED);
}

}  // namespace
}  // namespace msb::net
