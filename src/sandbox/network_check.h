// What a policy says to a connection that nobody makes: for `msb net check`.
#pragma once

#include <vector>

#include <microsandbox/network.h>

#include "base/result.h"
#include "net/address.h"

namespace msb {

// `gateways`: the sandbox's, which are its host.
Result<NetworkCheck> check_target(const NetworkConfig& config, const std::vector<net::Ip>& gateways,
                                  const NetworkTarget& target);

}  // namespace msb
