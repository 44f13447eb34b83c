// GatewayFixture: the whole network of a guest between two kernels: the guest's is a namespace with a tap device
// (TapGuest), the host's another one (GatewayThread).
//
//   TEST_P(Egress, ...) {
//     start({});                                   // or start(config, prepare)
//     Endpoint at;
//     const Fd listener = serve(kHost, at);        // on the host
//     const Fd client = guest_socket(...);         // in the guest
//
// With FamilyFixture the same is tried in both families: host(), gateway() are addresses of the one that is tried.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>

#include "net/testing/blocking_sockets.h"
#include "net/testing/gateway_thread.h"
#include "net/testing/tap_guest.h"

namespace msb::net::testing {

class GatewayFixture : public ::testing::Test {
 protected:
  // Of the guest; what it has not is not there from the start.
  virtual LinkConfig link() const { return TapGuest::link_config(); }

  void SetUp() override {
    auto guest = TapGuest::create(link());
    if (!guest) GTEST_SKIP() << "needs a tap device and a network namespace: " << guest.error().to_string();
    guest_ = std::move(*guest);
  }
  void start(
      const NetworkConfig& config,
      GatewayThread::Prepare prepare = [](Reactor&, NetworkConfig&) { return GatewayThread::Beside(); },
      HostNamespace::Families host = HostNamespace::Families::both) {
    gateway_.emplace(guest_->take_link(), config, link(), std::move(prepare), host);
  }
  static NetworkConfig with_rules(std::string_view rules) {
    NetworkConfig config;
    config.policy = NetworkPolicy::from_profiles({});
    config.policy.rules = NetworkRule::parse_all(rules).value();
    config.dns.rebind_protection = false;
    return config;
  }

  Fd guest_socket(Family family, int type = SOCK_STREAM) const {
    Fd socket = guest_->socket(domain(family), type);
    set_patience(socket);
    return socket;
  }
  Fd host_socket(Family family, int type = SOCK_STREAM) {
    Fd socket = gateway_->host_socket(domain(family), type);
    set_patience(socket);
    return socket;
  }
  // A ping socket of the guest's kernel that has sent `payload`.
  Fd ping(const Ip& to, std::string_view payload) const {
    guest_->run([] {
      const auto anybody = open_file("/proc/sys/net/ipv4/ping_group_range", O_WRONLY);
      ASSERT_TRUE(anybody && write_full(anybody->get(), as_bytes("0 2147483647")));
    });
    Fd socket = guest_->socket(domain(to.family()), SOCK_DGRAM, to.is_v4() ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6});
    set_patience(socket);
    want_all_errors(socket);
    say_ping(socket, to, payload);
    return socket;
  }
  // A listener on the host; `at` becomes where it is.
  Fd serve(const Ip& ip, Endpoint& at) {
    Fd listener = host_socket(ip.family());
    at = listen_at(listener, {ip, 0});
    return listener;
  }
  // errno of a connection from the guest, 0 when it worked.
  int try_connect(const Endpoint& remote) const { return connect_to(guest_socket(remote.ip.family()), remote); }

  static int domain(Family family) { return family == Family::v4 ? AF_INET : AF_INET6; }

  std::unique_ptr<TapGuest> guest_;
  std::optional<GatewayThread> gateway_;
};

class FamilyFixture : public GatewayFixture, public ::testing::WithParamInterface<Family> {
 protected:
  static Family family() { return GetParam(); }
  static Ip host() { return HostNamespace::address(family()); }
  static Ip loopback() { return HostNamespace::loopback(family()); }
  static Ip gateway() {
    const LinkConfig link = TapGuest::link_config();
    return family() == Family::v4 ? link.v4->gateway : link.v6->gateway;
  }
  Fd guest_socket(int type = SOCK_STREAM) const { return GatewayFixture::guest_socket(family(), type); }
};

inline std::string family_name(const ::testing::TestParamInfo<Family>& info) {
  return info.param == Family::v4 ? "v4" : "v6";
}

#define MSB_BOTH_FAMILIES(Suite)                                                                             \
  INSTANTIATE_TEST_SUITE_P(Family, Suite, ::testing::Values(::msb::net::Family::v4, ::msb::net::Family::v6), \
                           ::msb::net::testing::family_name)

}  // namespace msb::net::testing
