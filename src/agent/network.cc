#include "agent/network.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/fd.h"

namespace msb::agent {
namespace {

// A request of rtnetlink(7): a header, a fixed part, attributes.
class Request {
 public:
  template <class Fixed>
  Request(uint16_t type, uint16_t flags, const Fixed& fixed) {
    nlmsghdr header{};
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    append(&header, sizeof(header));
    append(&fixed, sizeof(fixed));
  }

  void add(uint16_t type, ByteView value) {
    const size_t start = begin(type);
    append(value.data(), value.size());
    end(start);
  }
  void add(uint16_t type, uint32_t value) { add(type, {reinterpret_cast<const uint8_t*>(&value), sizeof(value)}); }
  size_t begin(uint16_t type) {
    const size_t start = bytes_.size();
    rtattr attribute{};
    attribute.rta_type = type;
    append(&attribute, sizeof(attribute));
    return start;
  }
  void end(size_t start) {
    const auto length = static_cast<uint16_t>(bytes_.size() - start);
    std::memcpy(bytes_.data() + start, &length, sizeof(length));
    bytes_.resize((bytes_.size() + 3) / 4 * 4);
  }

  Bytes finish() {
    const auto length = static_cast<uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &length, sizeof(length));
    return std::move(bytes_);
  }

 private:
  void append(const void* data, size_t size) {
    const auto* at = static_cast<const uint8_t*>(data);
    bytes_.insert(bytes_.end(), at, at + size);
  }
  Bytes bytes_;
};

class Netlink {
 public:
  static Result<Netlink> open() {
    Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!socket) return fail_errno("open a netlink socket");
    return Netlink(std::move(socket));
  }

  Result<> ask(Request request, std::string_view what) {
    const Bytes bytes = request.finish();
    if (::send(socket_.get(), bytes.data(), bytes.size(), 0) < 0) return fail_errno(what);
    alignas(nlmsghdr) uint8_t answer[1024];
    const ssize_t size = ::recv(socket_.get(), answer, sizeof(answer), 0);
    if (size < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(nlmsgerr)))) return fail_errno(what, EPROTO);
    const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(reinterpret_cast<const nlmsghdr*>(answer)));
    if (error->error != 0) return fail_errno(what, -error->error);
    return {};
  }

 private:
  explicit Netlink(Fd socket) : socket_(std::move(socket)) {}
  Fd socket_;
};

struct Address {
  uint8_t family = AF_INET;
  uint8_t bytes[16] = {};
  ByteView view() const { return {bytes, family == AF_INET ? size_t{4} : size_t{16}}; }
};

Result<Address> parse(const std::string& text) {
  Address address;
  if (text.find(':') != std::string::npos) address.family = AF_INET6;
  if (::inet_pton(address.family, text.c_str(), address.bytes) != 1)
    return fail(ErrorKind::invalid_config, cat("'", text, "' is not an IP address"));
  return address;
}

Request up(int index) {
  ifinfomsg link{};
  link.ifi_family = AF_UNSPEC;
  link.ifi_index = index;
  link.ifi_flags = link.ifi_change = IFF_UP;
  return {RTM_NEWLINK, 0, link};
}

Result<> add_address(Netlink& netlink, int index, const wire::NetworkAddress& wanted) {
  MSB_TRY(Address address, parse(wanted.address));
  ifaddrmsg fixed{};
  fixed.ifa_family = address.family;
  fixed.ifa_prefixlen = wanted.prefix;
  fixed.ifa_flags = IFA_F_NODAD;
  fixed.ifa_index = static_cast<uint32_t>(index);
  Request request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, fixed);
  request.add(IFA_LOCAL, address.view());
  request.add(IFA_ADDRESS, address.view());
  return netlink.ask(std::move(request), cat("give eth0 the address ", wanted.address));
}

Result<> add_default_route(Netlink& netlink, int index, const wire::NetworkAddress& wanted) {
  MSB_TRY(Address gateway, parse(wanted.gateway));
  rtmsg fixed{};
  fixed.rtm_family = gateway.family;
  fixed.rtm_table = RT_TABLE_MAIN;
  fixed.rtm_protocol = RTPROT_BOOT;
  fixed.rtm_scope = RT_SCOPE_UNIVERSE;
  fixed.rtm_type = RTN_UNICAST;
  Request request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, fixed);
  request.add(RTA_GATEWAY, gateway.view());
  request.add(RTA_OIF, static_cast<uint32_t>(index));
  return netlink.ask(std::move(request), cat("route by ", wanted.gateway));
}

}  // namespace

Result<> bring_up_loopback() {
  MSB_TRY(auto netlink, Netlink::open());
  return netlink.ask(up(1), "bring up the loopback interface");
}

Result<> bring_up_network(const wire::NetworkSetup& setup) {
  const int index = static_cast<int>(::if_nametoindex("eth0"));
  if (index == 0) return fail_errno("find the network card eth0");
  MSB_TRY(auto netlink, Netlink::open());
  Request link = up(index);
  link.add(IFLA_MTU, setup.mtu);
  // No link-local address, and so no announcements of it: nobody is there to hear.
  const size_t families = link.begin(IFLA_AF_SPEC);
  const size_t v6 = link.begin(AF_INET6);
  constexpr uint8_t kNone = IN6_ADDR_GEN_MODE_NONE;
  link.add(IFLA_INET6_ADDR_GEN_MODE, {&kNone, 1});
  link.end(v6);
  link.end(families);
  MSB_CHECK(netlink.ask(std::move(link), "bring up eth0"));
  for (const auto& address : setup.addresses) {
    MSB_CHECK(add_address(netlink, index, address));
    MSB_CHECK(add_default_route(netlink, index, address));
  }
  return {};
}

}  // namespace msb::agent
