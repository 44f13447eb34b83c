// The gateway in front of a real name server.
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "base/child.h"
#include "net/dns/testing/dns_messages.h"
#include "net/dns/testing/gateway_rig.h"

namespace msb::net {
namespace {

using testing::dns_query;
using Names = std::vector<std::string>;

uint16_t free_port() {
  const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketAddress address = to_socket_address({Ip::v4(127, 0, 0, 1), 0});
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  EXPECT_EQ(::bind(socket.get(), address.get(), address.size), 0);
  EXPECT_EQ(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &size), 0);
  return to_endpoint(bound).port;
}

class DnsServerTest : public ::testing::Test {
 protected:
  // dnsmasq with these records, until the test ends.
  void serve(const std::vector<std::string>& records) {
    const uint16_t port = free_port();
    passwd entry{};
    passwd* user = nullptr;
    char buffer[1024];
    ASSERT_EQ(::getpwuid_r(::geteuid(), &entry, buffer, sizeof(buffer), &user), 0);
    ASSERT_NE(user, nullptr);
    std::vector<std::string> argv = {"/usr/sbin/dnsmasq",
                                     "--keep-in-foreground",
                                     cat("--port=", port),
                                     "--listen-address=127.0.0.1",
                                     "--bind-interfaces",
                                     "--conf-file=/dev/null",
                                     "--no-resolv",
                                     "--no-hosts",
                                     "--pid-file=",
                                     "--log-facility=-",
                                     cat("--user=", std::string(user->pw_name))};
    argv.insert(argv.end(), records.begin(), records.end());
    auto said = make_pipe();
    ASSERT_TRUE(said);
    SpawnOptions options;
    options.argv = argv;
    options.fds = {{said->write.get(), 2}};
    options.die_with_parent = true;
    auto child = Child::spawn(options);
    ASSERT_TRUE(child) << child.error().to_string();
    server_ = std::move(*child);
    said->write.reset();
    std::string text;
    while (text.find("started") == std::string::npos) {
      uint8_t some[512];
      const auto count = read_some(said->read.get(), some);
      ASSERT_TRUE(count && *count > 0) << "dnsmasq did not start: " << text;
      text += as_text(ByteView(some).first(*count));
    }
    log_ = std::move(said->read);  // it would end with SIGPIPE otherwise
    rig_.start("", {{Ip::v4(127, 0, 0, 1), port}});
  }
  DnsMessage ask(std::string_view name, DnsType type, NetworkProtocol protocol = NetworkProtocol::udp,
                 uint16_t edns = 0) {
    reply_ = rig_.ask(dns_query(name, type, {.edns_size = edns}), protocol);
    return DnsMessage::parse(reply_).value();
  }
  Names addresses(const DnsMessage& message) {
    Names out;
    for (const DnsRecord& record : message.answers()) {
      for (const Ip& ip : message.addresses(record)) out.push_back(ip.to_string());
    }
    return out;
  }

  testing::GatewayRig rig_;
  Child server_;
  Fd log_;
  Bytes reply_;
};

TEST_F(DnsServerTest, AddressesOfBothFamiliesAndAliasesAreFound) {
  serve({"--host-record=real.test,93.184.216.34,2606:4700::1111", "--cname=alias.test,real.test"});
  EXPECT_EQ(addresses(ask("real.test", DnsType::a)), (Names{"93.184.216.34"}));
  EXPECT_EQ(addresses(ask("real.test", DnsType::aaaa)), (Names{"2606:4700::1111"}));
  EXPECT_EQ(addresses(ask("alias.test", DnsType::a, NetworkProtocol::tcp)), (Names{"93.184.216.34"}));
  EXPECT_EQ(rig_.names("93.184.216.34"), (Names{"alias.test", "real.test"}));
}

TEST_F(DnsServerTest, ManyAddressesComeWholeOverTcpAndCutOverUdp) {
  std::vector<std::string> records;
  for (int i = 1; i <= 80; ++i) records.push_back(cat("--host-record=many.test,93.184.216.", i));
  serve(records);
  EXPECT_EQ(addresses(ask("many.test", DnsType::a, NetworkProtocol::tcp)).size(), 80U);
  EXPECT_TRUE(ask("many.test", DnsType::a).is_truncated());
  EXPECT_EQ(addresses(ask("many.test", DnsType::a, NetworkProtocol::udp, 4096)).size(), 80U);
}

TEST_F(DnsServerTest, APrivateAddressIsWithheld) {
  serve({"--host-record=inside.test,10.0.0.1"});
  EXPECT_EQ(ask("inside.test", DnsType::a).rcode(), DnsRcode::name_error);
}

}  // namespace
}  // namespace msb::net
