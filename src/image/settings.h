// RegistrySettings: the "registries" part of $MSB_HOME/config.json.
//
//   { "registries": {
//       "mirrors":  { "docker.io": ["127.0.0.1:5000", {"host": "mirror.lan", "insecure": true}] },
//       "hosts":    { "registry.lan:5000": { "insecure": true,
//                                            "auth": { "username": "ci", "password_env": "CI_TOKEN" } } },
//       "ca_certs": ["/etc/ssl/lan.pem"] } }
//
// Mirrors are asked in order, then the registry itself. Loopback addresses may always speak plain HTTP.
// A value, read at each pull. Mistakes are ErrorKind::invalid_config with the path of the key.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace msb::image {

// How strictly a registry's transport is judged.
enum class Trust {
  verified,  // TLS with a valid certificate
  loopback,  // plain HTTP, or TLS with any certificate: nobody is in between
  insecure,  // TLS with any certificate, or plain HTTP, because the user said so
};

struct Mirror {
  std::string host;
  bool insecure = false;
};

struct HostSettings {
  bool insecure = false;
  std::string username;
  std::string password_env;  // name of the environment variable; empty = no credentials here
};

struct RegistrySettings {
  std::map<std::string, std::vector<Mirror>> mirrors;
  std::map<std::string, HostSettings> hosts;
  std::vector<std::string> ca_certs;

  static Result<RegistrySettings> parse(std::string_view json_text, const std::string& path);
  // A missing file means no settings.
  static Result<RegistrySettings> load(const std::string& path);

  Trust trust_of(const std::string& host) const;
};

}  // namespace msb::image
