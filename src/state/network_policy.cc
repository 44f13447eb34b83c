// NetworkPolicy's profiles. Here because configurations are made of them (state/network_spec.h).
#include <algorithm>

#include <microsandbox/network.h>

namespace msb {

NetworkPolicy NetworkPolicy::from_profiles(const std::vector<NetworkProfile>& profiles) {
  NetworkPolicy policy{.default_egress = NetworkAction::deny, .default_ingress = NetworkAction::allow, .rules = {}};
  if (profiles.empty()) return policy;
  const auto allow = [&](NetworkGroup group) {
    policy.rules.push_back(
        {.action = NetworkAction::allow, .destination = {.kind = NetworkDestination::Kind::group, .group = group}});
  };
  // DNS: the gateway answers for every address.
  allow(NetworkGroup::host);
  policy.rules.back().protocols = {NetworkProtocol::udp, NetworkProtocol::tcp};
  policy.rules.back().ports = {{53, 53}};
  const auto has = [&](NetworkProfile profile) { return std::ranges::find(profiles, profile) != profiles.end(); };
  if (has(NetworkProfile::public_)) allow(NetworkGroup::public_);
  if (has(NetworkProfile::private_)) allow(NetworkGroup::private_);
  if (has(NetworkProfile::host)) allow(NetworkGroup::host);
  return policy;
}

NetworkPolicy NetworkPolicy::public_only() {
  return from_profiles({NetworkProfile::public_});
}

NetworkPolicy NetworkPolicy::allow_all() {
  return {.default_egress = NetworkAction::allow, .default_ingress = NetworkAction::allow, .rules = {}};
}

NetworkPolicy NetworkPolicy::none() {
  return {.default_egress = NetworkAction::deny, .default_ingress = NetworkAction::deny, .rules = {}};
}

}  // namespace msb
