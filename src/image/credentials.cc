#include "image/credentials.h"

#include <algorithm>
#include <cstdlib>

#include "base/base64.h"
#include "base/child.h"
#include "base/temp_dir.h"
#include "image/json.h"

namespace msb::image {
namespace {

// The name under which `docker login` files the default registry.
constexpr std::string_view kDockerHubServer = "https://index.docker.io/v1/";

// "https://registry.example/v2/" and "registry.example" mean the same server.
std::string server_host(std::string_view server) {
  if (const size_t scheme = server.find("://"); scheme != std::string_view::npos) server.remove_prefix(scheme + 3);
  return std::string(server.substr(0, server.find('/')));
}

std::vector<std::string> names_of(const std::string& host) {
  if (host == "docker.io")
    return {std::string(kDockerHubServer), "docker.io", "index.docker.io", "registry-1.docker.io"};
  return {host, "https://" + host};
}

Result<std::optional<Credentials>> run_helper(const std::string& name, const std::string& server) {
  const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c == '_' || c == '.';
  });
  if (!plain)
    return fail(ErrorKind::invalid_config, cat("'", name.substr(0, 100), "' is not a credential helper's name"));
  auto output = run_capture({"docker-credential-" + name, "get"}, size_t{64} << 10, server);
  // A helper without an entry fails, and says so on stdout: that is no error, the next source is asked.
  if (!output) {
    if (output.error().errnum() != ENOENT) return std::optional<Credentials>();
    return fail(
        Error(ErrorKind::image_pull_failed,
              cat("Docker's config names the credential helper docker-credential-", name, ", which is not installed"))
            .hint("install it, or remove it from Docker's config.json (credsStore, credHelpers)"));
  }
  MSB_TRY(const auto json,
          parse_json(*output, cat("the answer of docker-credential-", name), ErrorKind::image_pull_failed));
  const std::string username = string_member(json, "Username").value_or("");
  const std::string secret = string_member(json, "Secret").value_or("");
  if (secret.empty()) return std::optional<Credentials>();
  if (username == "<token>") return std::optional(Credentials{"", "", secret});
  return std::optional(Credentials{username, secret, ""});
}

}  // namespace

Result<DockerConfig> DockerConfig::parse(std::string_view text, const std::string& path, Helper helper) {
  MSB_TRY(const auto json, parse_json(text, path, ErrorKind::invalid_config));
  DockerConfig out;
  out.helper_ = std::move(helper);
  out.store_ = string_member(json, "credsStore").value_or("");
  if (const Json* helpers = member(json, "credHelpers"); helpers != nullptr && helpers->is_object()) {
    for (const auto& [host, name] : helpers->items()) {
      if (name.is_string()) out.helpers_[host] = name.get<std::string>();
    }
  }
  const Json* auths = member(json, "auths");
  if (auths == nullptr || !auths->is_object()) return out;
  for (const auto& [server, entry] : auths->items()) {
    Credentials found{string_member(entry, "username").value_or(""), string_member(entry, "password").value_or(""),
                      string_member(entry, "identitytoken").value_or("")};
    if (const auto packed = string_member(entry, "auth"); packed && !packed->empty()) {
      const auto pair = base64_decode(*packed);
      const size_t colon = pair ? pair->find(':') : std::string::npos;
      if (colon == std::string::npos) {
        return fail(
            Error(ErrorKind::invalid_config, cat(path, ": auths.\"", server, "\".auth is not base64 of USER:PASSWORD"))
                .hint("log in again, for example with docker login"));
      }
      found.username = pair->substr(0, colon);
      found.password = pair->substr(colon + 1);
    }
    // With a credsStore the file has an empty object for each server.
    if (!found.identity_token.empty() || !found.password.empty()) out.auths_[server] = std::move(found);
  }
  return out;
}

Result<DockerConfig> DockerConfig::load(const std::string& directory) {
  const std::string path = directory + "/config.json";
  if (directory.empty() || !path_exists(path)) return DockerConfig();
  auto text = read_file(path, kMaxManifestBytes);
  if (!text) return fail(std::move(text).error().context("read Docker's config"));
  return parse(*text, path, run_helper);
}

Result<std::optional<Credentials>> DockerConfig::find(const std::string& host) const {
  const std::vector<std::string> names = names_of(host);
  for (const std::string& name : names) {
    const auto it = helpers_.find(name);
    if (it == helpers_.end()) continue;
    MSB_TRY(auto found, helper_(it->second, name));
    if (found) return found;
  }
  if (!store_.empty()) {
    MSB_TRY(auto found, helper_(store_, names.front()));
    if (found) return found;
  }
  for (const auto& [server, credentials] : auths_) {
    const bool same = std::find(names.begin(), names.end(), server) != names.end() ||
                      std::find(names.begin(), names.end(), server_host(server)) != names.end();
    if (same) return std::optional(credentials);
  }
  return std::optional<Credentials>();
}

std::string default_docker_directory() {
  if (const char* directory = std::getenv("DOCKER_CONFIG"); directory != nullptr && *directory != '\0')
    return directory;
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') return cat(home, "/.docker");
  return {};
}

Result<std::optional<Credentials>> find_credentials(const std::string& host, const std::optional<RegistryAuth>& given,
                                                    const RegistrySettings& settings,
                                                    const std::string& docker_directory) {
  if (given) return std::optional(Credentials{given->username, given->password, ""});
  if (const auto it = settings.hosts.find(host); it != settings.hosts.end() && !it->second.password_env.empty()) {
    const char* password = std::getenv(it->second.password_env.c_str());
    if (password == nullptr) {
      return fail(
          Error(ErrorKind::invalid_config, cat("the password for ", host, " should be in the environment variable ",
                                               it->second.password_env, ", which is not set"))
              .hint(cat("set it, or change registries.hosts.\"", host, "\".auth in config.json")));
    }
    return std::optional(Credentials{it->second.username, password, ""});
  }
  MSB_TRY(const auto docker, DockerConfig::load(docker_directory));
  return docker.find(host);
}

}  // namespace msb::image
