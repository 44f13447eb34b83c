// What holds for every rule, whether it was parsed or made by a program.
#pragma once

#include <microsandbox/network.h>
#include <microsandbox/result.h>

namespace msb::net {

// network_policy: ports of ICMP, ICMP or a name for ingress, ports that are none, a destination whose text is none.
Result<> check_rule(const NetworkRule& rule);

}  // namespace msb::net
