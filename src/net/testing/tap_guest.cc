#include "net/testing/tap_guest.h"

#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "net/testing/interfaces.h"

namespace msb::net::testing {
namespace {

constexpr char kName[] = "tap0";

ifreq request() {
  ifreq request{};
  std::ranges::copy(kName, request.ifr_name);
  return request;
}

Result<> control(int fd, unsigned long number, void* argument, std::string_view what) {
  if (::ioctl(fd, number, argument) < 0) return fail_errno(what);
  return {};
}

Result<Fd> open_tap() {
  MSB_TRY(Fd tap, open_file("/dev/net/tun", O_RDWR));
  ifreq create = request();
  create.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  MSB_CHECK(control(tap.get(), TUNSETIFF, &create, "make a tap device"));
  int header = 12;
  MSB_CHECK(control(tap.get(), TUNSETVNETHDRSZ, &header, "set the size of the tap's header"));
  if (::ioctl(tap.get(), TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
    return fail_errno("set the tap's offloads");
  return tap;
}

Result<> configure(const LinkAddresses& link) {
  MSB_CHECK(add_address(kName, link.guest, link.prefix));
  const Ip all = link.guest.is_v4() ? Ip() : Ip::v6({});
  return add_route(kName, {all, 0}, link.gateway);
}

}  // namespace

LinkConfig TapGuest::link_config() {
  LinkConfig config;
  config.gateway_mac = {{0x02, 0x6d, 0x73, 0, 1, 1}};
  config.guest_mac = {{0x02, 0x6d, 0x73, 0, 1, 2}};
  config.v4 = {Ip::v4(172, 16, 0, 5), Ip::v4(172, 16, 0, 6), 30};
  config.v6 = {Ip::parse("fd42:6d73:62:1::1").value(), Ip::parse("fd42:6d73:62:1::2").value(), 64};
  return config;
}

Result<std::unique_ptr<TapGuest>> TapGuest::create(const LinkConfig& config) {
  std::unique_ptr<TapGuest> guest(new TapGuest);
  // A namespace is a thread's: one that ends leaves this process where it was.
  Result<> began;
  std::thread([&] { began = guest->begin(config); }).join();
  MSB_CHECK(began);
  return guest;
}

Result<> TapGuest::begin(const LinkConfig& config) {
  if (::unshare(CLONE_NEWNET) < 0) return fail_errno("make a network namespace");
  MSB_TRY(namespace_, open_file("/proc/thread-self/ns/net", O_RDONLY));
  MSB_TRY(tap_, open_tap());
  Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq mac = request();
  mac.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  std::ranges::copy(config.guest_mac.bytes, mac.ifr_hwaddr.sa_data);
  MSB_CHECK(control(fd.get(), SIOCSIFHWADDR, &mac, "set the MAC address"));
  ifreq mtu = request();
  mtu.ifr_mtu = config.mtu;
  MSB_CHECK(control(fd.get(), SIOCSIFMTU, &mtu, "set the MTU"));
  MSB_CHECK(bring_up("lo"));
  MSB_CHECK(bring_up(kName));
  if (config.v4) MSB_CHECK(configure(*config.v4));
  if (config.v6) MSB_CHECK(configure(*config.v6));
  return {};
}

Fd TapGuest::socket(int family, int type, int protocol) const {
  Fd fd;
  run([&] { fd.reset(::socket(family, type | SOCK_CLOEXEC, protocol)); });
  return fd;
}

void TapGuest::run(const std::function<void()>& work) const {
  std::thread([&] {
    if (::setns(namespace_.get(), CLONE_NEWNET) == 0) work();
  }).join();
}

}  // namespace msb::net::testing
