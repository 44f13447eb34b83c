// From what was said of a sandbox's network to the link between its guest and its gateway.
#pragma once

#include <cstdint>
#include <optional>

#include <microsandbox/network.h>

#include "base/result.h"
#include "state/network_spec.h"
#include "wire/messages.h"

namespace msb {

// The families the host has a way to the world with. A guest is given no address of a family that leads nowhere: its
// programs would try it first, and wait.
struct HostFamilies {
  bool v4 = false;
  bool v6 = false;
};
// Asks the routing table; nothing is sent.
HostFamilies host_families();

// Rules, names, ports, pools, limits; network_policy for what is wrong with the policy, else invalid_config.
Result<> check_network(const NetworkConfig& config);

// The slot's /30 and /64 out of the pools, which begin anew when there are fewer of them than slots: links are apart,
// so two with the same addresses do not meet. A family whose pool was chosen is there in any case, and IPv4 when the
// host has none, for its own ports and services. Nothing when the network is off. `config` has passed check_network().
std::optional<state::NetworkSpec> plan_network(const NetworkConfig& config, uint16_t slot, HostFamilies families);

// The guest's side of it.
void plan_guest_network(const state::NetworkSpec& spec, wire::Bootstrap& bootstrap);

}  // namespace msb
