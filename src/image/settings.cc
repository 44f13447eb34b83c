#include "image/settings.h"

#include "base/fd.h"
#include "base/temp_dir.h"
#include "image/json.h"
#include "image/reference.h"

namespace msb::image {
namespace {

// Reads typed members of one file and names file and key when a type is wrong.
class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path) {}

  Error wrong(std::string_view key, std::string_view expected) const {
    return Error(ErrorKind::invalid_config, cat(path_, ": ", key, " must be ", expected));
  }
  Result<const Json*> object(const Json& parent, const char* name, std::string_view key) const {
    const Json* value = member(parent, name);
    if (value != nullptr && !value->is_object()) return fail(wrong(key, "an object"));
    return value;
  }
  Result<bool> boolean(const Json& parent, const char* name, std::string_view key) const {
    const Json* value = member(parent, name);
    if (value == nullptr) return false;
    if (!value->is_boolean()) return fail(wrong(key, "true or false"));
    return value->get<bool>();
  }
  Result<std::string> string(const Json& parent, const char* name, std::string_view key) const {
    const Json* value = member(parent, name);
    if (value == nullptr) return std::string();
    if (!value->is_string()) return fail(wrong(key, "a string"));
    return value->get<std::string>();
  }
  Result<std::string> host(const std::string& text, std::string_view key) const {
    if (!is_registry_host(text)) return fail(wrong(key, cat("HOST or HOST:PORT, not '", text.substr(0, 200), "'")));
    return text;
  }

 private:
  const std::string& path_;
};

Result<Mirror> parse_mirror(const Reader& reader, const Json& json, const std::string& key) {
  Mirror out;
  if (json.is_string()) {
    out.host = json.get<std::string>();
  } else if (json.is_object()) {
    MSB_TRY(out.host, reader.string(json, "host", key + ".host"));
    MSB_TRY(out.insecure, reader.boolean(json, "insecure", key + ".insecure"));
  } else {
    return fail(reader.wrong(key, "a host, or an object with \"host\" and \"insecure\""));
  }
  constexpr std::string_view kHttp = "http://";
  constexpr std::string_view kHttps = "https://";
  if (out.host.starts_with(kHttp)) {
    out.host.erase(0, kHttp.size());
    out.insecure = true;
  } else if (out.host.starts_with(kHttps)) {
    out.host.erase(0, kHttps.size());
  }
  while (out.host.ends_with('/')) out.host.pop_back();
  MSB_TRY(out.host, reader.host(out.host, key));
  return out;
}

Result<HostSettings> parse_host(const Reader& reader, const Json& json, const std::string& key) {
  if (!json.is_object()) return fail(reader.wrong(key, "an object"));
  HostSettings out;
  MSB_TRY(out.insecure, reader.boolean(json, "insecure", key + ".insecure"));
  MSB_TRY(const Json* auth, reader.object(json, "auth", key + ".auth"));
  if (auth == nullptr) return out;
  MSB_TRY(out.username, reader.string(*auth, "username", key + ".auth.username"));
  MSB_TRY(out.password_env, reader.string(*auth, "password_env", key + ".auth.password_env"));
  if (out.username.empty() || out.password_env.empty()) {
    return fail(reader.wrong(key + ".auth", "an object with \"username\" and \"password_env\"")
                    .hint("other stores: `docker login` writes a file that msb reads too"));
  }
  return out;
}

}  // namespace

Result<RegistrySettings> RegistrySettings::parse(std::string_view json_text, const std::string& path) {
  const Reader reader(path);
  MSB_TRY(const auto json, parse_json(json_text, path, ErrorKind::invalid_config));
  if (!json.is_object()) return fail(reader.wrong("the file", "a JSON object"));
  RegistrySettings out;
  MSB_TRY(const Json* registries, reader.object(json, "registries", "registries"));
  if (registries == nullptr) return out;
  MSB_TRY(const Json* mirrors, reader.object(*registries, "mirrors", "registries.mirrors"));
  if (mirrors != nullptr) {
    for (const auto& [host, list] : mirrors->items()) {
      const std::string key = cat("registries.mirrors.\"", host, "\"");
      MSB_CHECK(reader.host(host, "a key of registries.mirrors"));
      if (!list.is_array()) return fail(reader.wrong(key, "a list"));
      for (const Json& item : list) {
        MSB_TRY(auto mirror, parse_mirror(reader, item, cat(key, "[", out.mirrors[host].size(), "]")));
        out.mirrors[host].push_back(std::move(mirror));
      }
    }
  }
  MSB_TRY(const Json* hosts, reader.object(*registries, "hosts", "registries.hosts"));
  if (hosts != nullptr) {
    for (const auto& [host, value] : hosts->items()) {
      MSB_CHECK(reader.host(host, "a key of registries.hosts"));
      MSB_TRY(out.hosts[host], parse_host(reader, value, cat("registries.hosts.\"", host, "\"")));
    }
  }
  if (const Json* files = member(*registries, "ca_certs")) {
    out.ca_certs =
        files->is_string() ? std::vector{files->get<std::string>()} : strings_member(*registries, "ca_certs");
    if (!files->is_string() && (!files->is_array() || files->size() != out.ca_certs.size())) {
      return fail(reader.wrong("registries.ca_certs", "a path or a list of paths"));
    }
  }
  return out;
}

Result<RegistrySettings> RegistrySettings::load(const std::string& path) {
  if (!path_exists(path)) return RegistrySettings{};
  auto text = read_file(path, kMaxManifestBytes);
  if (!text) return fail(std::move(text).error().as(ErrorKind::invalid_config).context("read the settings"));
  return parse(*text, path);
}

Trust RegistrySettings::trust_of(const std::string& host) const {
  const auto it = hosts.find(host);
  if (it != hosts.end() && it->second.insecure) return Trust::insecure;
  return is_loopback_host(host) ? Trust::loopback : Trust::verified;
}

}  // namespace msb::image
