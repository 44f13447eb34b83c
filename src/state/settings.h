// What $MSB_HOME/config.json says of the network. Its "registries" are image/settings.h's.
//
//   { "network": { "proxy": "http://proxy.lan:3128" } }
//
// A value, read at each start and pull. Mistakes are ErrorKind::invalid_config with the path of the key.
#pragma once

#include <string>

#include "base/result.h"
#include "state/home.h"

namespace msb::state {

// $MSB_CONFIG_PATH when set, else the home's.
std::string settings_file(const Home& home);

struct NetworkSettings {
  std::string proxy;  // as NetworkConfig::proxy, whose default it is; of image pulls, too

  // A missing file means no settings.
  static Result<NetworkSettings> load(const std::string& path);
};

}  // namespace msb::state
