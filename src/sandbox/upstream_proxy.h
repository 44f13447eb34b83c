// The proxy that a sandbox's connections go through, found when it starts: what its configuration says, else the
// settings (config.json), else the environment, as curl reads it: https_proxy, all_proxy, no_proxy, in small letters or
// capitals.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "state/network_spec.h"
#include "state/settings.h"

namespace msb {

using Environment = std::function<const char*(const char* name)>;

// nullopt: there is none. A proxy whose name has no address is one nonetheless, without addresses: connections fail
// until the next start, and none goes past it. invalid_config, with where it came from: what is no proxy.
Result<std::optional<state::ProxySpec>> find_proxy(const std::string& wish, const state::NetworkSettings& settings,
                                                   const Environment& environment);

}  // namespace msb
