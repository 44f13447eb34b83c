#include "net/testing/tap_guest.h"

#include <arpa/inet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

namespace msb::net::testing {
namespace {

constexpr char kName[] = "tap0";

ifreq request() {
  ifreq request{};
  std::ranges::copy(kName, request.ifr_name);
  return request;
}

sockaddr address_of(const Ip& ip) {
  const SocketAddress address = to_socket_address({ip, 0});
  sockaddr copy;
  std::memcpy(&copy, address.get(), sizeof(copy));
  return copy;
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

Result<> bring_up(int fd, const char* name) {
  ifreq up = request();
  std::fill(std::begin(up.ifr_name), std::end(up.ifr_name), '\0');
  std::copy_n(name, std::strlen(name), up.ifr_name);
  up.ifr_flags = IFF_UP | IFF_RUNNING;
  return control(fd, SIOCSIFFLAGS, &up, "bring the interface up");
}

Result<> configure_v4(int fd, const LinkAddresses& link) {
  ifreq address = request();
  address.ifr_addr = address_of(link.guest);
  MSB_CHECK(control(fd, SIOCSIFADDR, &address, "set the address"));
  address.ifr_netmask = address_of(Ip::v4(static_cast<uint32_t>(~uint64_t{0} << (32 - link.prefix))));
  MSB_CHECK(control(fd, SIOCSIFNETMASK, &address, "set the netmask"));
  rtentry route{};
  route.rt_dst = route.rt_genmask = address_of(Ip());
  route.rt_gateway = address_of(link.gateway);
  route.rt_flags = RTF_UP | RTF_GATEWAY;
  return control(fd, SIOCADDRT, &route, "set the default route");
}

// By netlink, the only way to have an address without detection of duplicates: such a one can be used at once.
Result<> set_address_v6(const LinkAddresses& link, int index) {
  struct {
    nlmsghdr header;
    ifaddrmsg message;
    rtattr address_header;
    uint8_t address[16];
    rtattr flags_header;
    uint32_t flags;
  } request{};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = RTM_NEWADDR;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK;
  request.message.ifa_family = AF_INET6;
  request.message.ifa_prefixlen = static_cast<uint8_t>(link.prefix);
  request.message.ifa_index = static_cast<uint32_t>(index);
  request.address_header = {.rta_len = RTA_LENGTH(16), .rta_type = IFA_LOCAL};
  std::ranges::copy(link.guest.bytes(), request.address);
  request.flags_header = {.rta_len = RTA_LENGTH(4), .rta_type = IFA_FLAGS};
  request.flags = IFA_F_NODAD;
  Fd netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (::send(netlink.get(), &request, sizeof(request), 0) < 0) return fail_errno("set the IPv6 address");
  struct {
    nlmsghdr header;
    nlmsgerr error;
  } answer{};
  if (::recv(netlink.get(), &answer, sizeof(answer), 0) < 0) return fail_errno("set the IPv6 address");
  if (answer.error.error != 0) return fail_errno("set the IPv6 address", -answer.error.error);
  return {};
}

Result<> configure_v6(const LinkAddresses& link) {
  const int index = static_cast<int>(::if_nametoindex(kName));
  MSB_CHECK(set_address_v6(link, index));
  Fd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  in6_rtmsg route{};
  std::ranges::copy(link.gateway.bytes(), route.rtmsg_gateway.s6_addr);
  route.rtmsg_metric = 1;
  route.rtmsg_flags = RTF_UP | RTF_GATEWAY;
  route.rtmsg_ifindex = index;
  return control(fd.get(), SIOCADDRT, &route, "set the IPv6 default route");
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
  MSB_CHECK(bring_up(fd.get(), "lo"));
  MSB_CHECK(bring_up(fd.get(), kName));
  if (config.v4) MSB_CHECK(configure_v4(fd.get(), *config.v4));
  if (config.v6) MSB_CHECK(configure_v6(*config.v6));
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
