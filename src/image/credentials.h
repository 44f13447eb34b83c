// Credentials for registries, and where they come from: the call's own, config.json's hosts, Docker's config
// file and its helpers, else none (anonymous).
#pragma once

#include <functional>
#include <optional>
#include <string>

#include <microsandbox/config.h>

#include "base/result.h"
#include "image/settings.h"

namespace msb::image {

struct Credentials {
  std::string username;
  std::string password;
  std::string identity_token;  // an OAuth2 refresh token, instead of the two above
};

// Docker's config file. Values are read when asked for: helpers may ask the user or the key chain.
class DockerConfig {
 public:
  // Runs docker-credential-NAME get with the server's address on stdin; nullopt when it has none.
  using Helper = std::function<Result<std::optional<Credentials>>(const std::string& name, const std::string& server)>;

  // `directory` is $DOCKER_CONFIG or ~/.docker. A missing file has no credentials.
  static Result<DockerConfig> load(const std::string& directory);
  static Result<DockerConfig> parse(std::string_view text, const std::string& path, Helper helper);

  Result<std::optional<Credentials>> find(const std::string& host) const;

 private:
  std::map<std::string, Credentials> auths_;  // by server as written in the file
  std::map<std::string, std::string> helpers_;
  std::string store_;
  Helper helper_;
};

// $DOCKER_CONFIG, else ~/.docker, else empty.
std::string default_docker_directory();

Result<std::optional<Credentials>> find_credentials(const std::string& host, const std::optional<RegistryAuth>& given,
                                                    const RegistrySettings& settings,
                                                    const std::string& docker_directory);

}  // namespace msb::image
