// NetworkConfig and NetworkSpec as JSON, for the database and for the VMM process. Strict, as StrictReader is. Both
// readers throw.
#pragma once

#include <nlohmann/json.hpp>

#include "state/network_spec.h"

namespace msb::state {

nlohmann::json network_to_json(const NetworkConfig& config);
NetworkConfig network_from_json(const nlohmann::json& value);

nlohmann::json network_spec_to_json(const NetworkSpec& spec);
NetworkSpec network_spec_from_json(const nlohmann::json& value);

}  // namespace msb::state
