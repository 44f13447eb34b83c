// Network interfaces of the namespace that the calling thread is in, by rtnetlink(7): what `ip link`, `ip address` and
// `ip route` do, without the program.
//
//   MSB_CHECK(bring_up("lo"));
//   MSB_CHECK(add_address("lo", Ip::v4(93, 184, 216, 34), 32));
//   MSB_CHECK(add_route("tap0", Cidr(), gateway));        // 0.0.0.0/0: the default route of IPv4
#pragma once

#include <optional>
#include <string>

#include "net/address.h"

namespace msb::net::testing {

Result<> bring_up(const std::string& interface);
// Usable at once: nobody is asked whether the address is a duplicate.
Result<> add_address(const std::string& interface, const Ip& address, unsigned prefix);
// Without a gateway: what is behind the route is on the link itself.
Result<> add_route(const std::string& interface, const Cidr& to, const std::optional<Ip>& gateway = {});

}  // namespace msb::net::testing
