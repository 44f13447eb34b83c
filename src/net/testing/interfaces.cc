#include "net/testing/interfaces.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include "base/fd.h"

namespace msb::net::testing {
namespace {

ByteView bytes_of(const auto& value) {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof(value)};
}

uint8_t family_of(const Ip& ip) {
  return ip.is_v4() ? AF_INET : AF_INET6;
}

// A request that grows by attributes; ask() sends it and reads what the kernel says.
class Request {
 public:
  template <class Fixed>
  Request(uint16_t type, uint16_t flags, const Fixed& fixed) {
    nlmsghdr header{};
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    append(bytes_of(header));
    append(bytes_of(fixed));
  }
  void add(uint16_t type, ByteView value) {
    const rtattr attribute{.rta_len = static_cast<uint16_t>(RTA_LENGTH(value.size())), .rta_type = type};
    append(bytes_of(attribute));
    append(value);
  }
  Result<> ask(const std::string& what) {
    const auto size = static_cast<uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &size, sizeof(size));
    const Fd netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (::send(netlink.get(), bytes_.data(), bytes_.size(), 0) < 0) return fail_errno(what);
    struct {
      nlmsghdr header;
      nlmsgerr error;
    } answer{};
    if (::recv(netlink.get(), &answer, sizeof(answer), 0) < 0) return fail_errno(what);
    if (answer.error.error != 0) return fail_errno(what, -answer.error.error);
    return {};
  }

 private:
  void append(ByteView bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
  }
  Bytes bytes_;
};

// Hears of new IPv6 routes. An address of IPv6 is given at once, but the kernel makes its route, without which nothing
// arrives at it, a moment later and by itself.
class RouteNews {
 public:
  static Result<RouteNews> listen() {
    RouteNews news;
    news.netlink_ = Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    sockaddr_nl groups{};
    groups.nl_family = AF_NETLINK;
    groups.nl_groups = RTMGRP_IPV6_ROUTE;
    const timeval patience{.tv_sec = 30, .tv_usec = 0};
    ::setsockopt(news.netlink_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (::bind(news.netlink_.get(), reinterpret_cast<const sockaddr*>(&groups), sizeof(groups)) < 0)
      return fail_errno("listen for routes");
    return news;
  }
  // Until there is one to just this address.
  Result<> wait_for(const Ip& address) {
    while (true) {
      alignas(nlmsghdr) uint8_t buffer[4096];
      const ssize_t size = ::recv(netlink_.get(), buffer, sizeof(buffer), 0);
      if (size < 0) return fail_errno(cat("wait for the route to ", address.to_string()));
      if (leads_to(address, reinterpret_cast<const nlmsghdr*>(buffer), static_cast<unsigned>(size))) return {};
    }
  }

 private:
  static bool leads_to(const Ip& address, const nlmsghdr* header, unsigned size) {
    if (!NLMSG_OK(header, size) || header->nlmsg_type != RTM_NEWROUTE) return false;
    const auto* route = static_cast<const rtmsg*>(NLMSG_DATA(header));
    if (route->rtm_type != RTN_LOCAL || route->rtm_dst_len != 128) return false;
    unsigned left = RTM_PAYLOAD(header);
    for (const rtattr* at = RTM_RTA(route); RTA_OK(at, left); at = RTA_NEXT(at, left))
      if (at->rta_type == RTA_DST) return std::memcmp(RTA_DATA(at), address.bytes().data(), 16) == 0;
    return false;
  }
  Fd netlink_;
};

}  // namespace

Result<> bring_up(const std::string& interface) {
  ifinfomsg link{};
  link.ifi_index = static_cast<int>(::if_nametoindex(interface.c_str()));
  link.ifi_flags = link.ifi_change = IFF_UP;
  return Request(RTM_NEWLINK, 0, link).ask(cat("bring ", interface, " up"));
}

Result<> add_address(const std::string& interface, const Ip& address, unsigned prefix) {
  ifaddrmsg message{};
  message.ifa_family = family_of(address);
  message.ifa_prefixlen = static_cast<uint8_t>(prefix);
  message.ifa_index = ::if_nametoindex(interface.c_str());
  Request request(RTM_NEWADDR, NLM_F_CREATE, message);
  request.add(IFA_LOCAL, address.bytes());
  const std::string what = cat("give ", interface, " the address ", address.to_string());
  if (address.is_v4()) return request.ask(what);
  request.add(IFA_FLAGS, bytes_of(uint32_t{IFA_F_NODAD}));
  MSB_TRY(RouteNews news, RouteNews::listen());
  MSB_CHECK(request.ask(what));
  return news.wait_for(address);
}

Result<> add_route(const std::string& interface, const Cidr& to, const std::optional<Ip>& gateway) {
  rtmsg message{};
  message.rtm_family = family_of(to.base());
  message.rtm_dst_len = static_cast<uint8_t>(to.prefix());
  message.rtm_table = RT_TABLE_MAIN;
  message.rtm_protocol = RTPROT_STATIC;
  message.rtm_scope = gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  message.rtm_type = RTN_UNICAST;
  Request request(RTM_NEWROUTE, NLM_F_CREATE, message);
  request.add(RTA_DST, to.base().bytes());
  request.add(RTA_OIF, bytes_of(::if_nametoindex(interface.c_str())));
  if (gateway) request.add(RTA_GATEWAY, gateway->bytes());
  return request.ask(cat("route ", to.to_string(), " to ", interface));
}

}  // namespace msb::net::testing
