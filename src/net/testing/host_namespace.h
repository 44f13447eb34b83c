// HostNamespace: a network namespace in the part of the host: loopback, one address of the internet, and of each family
// only what such a host has.
#pragma once

#include "net/address.h"

namespace msb::net::testing {

class HostNamespace {
 public:
  enum class Families { both, only_v4, only_v6 };

  // Counts as public; of the host, where the host has the family.
  static Ip address(Family family);
  // 127.0.0.1, ::1. Hosts without IPv6 have no ::1; 127.0.0.1 has every host.
  static Ip loopback(Family family);

  // The calling thread lives in one from now on.
  static Result<> enter(Families families);
};

}  // namespace msb::net::testing
