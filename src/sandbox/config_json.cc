#include "sandbox/config_json.h"

#include <nlohmann/json.hpp>
#include <set>

#include "state/network_json.h"
#include "state/proxy_url.h"

namespace msb {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kFormat = 1;

// One description of each struct's fields serves both directions. Writer and Reader have the
// same operators; Reader also notes which keys it has seen, to refuse the others.
template <class T>
void put(Json& json, const T& value);
template <class T>
void get(const Json& json, T& value);

class Writer {
 public:
  template <class T>
  void operator()(const char* key, const T& value) {
    put(json_[key], value);
  }
  template <class T>
  void later(const char* key, const T& value) {
    (*this)(key, value);
  }
  Json take() { return std::move(json_); }

 private:
  Json json_ = Json::object();
};

class Reader {
 public:
  explicit Reader(const Json& json) : json_(json) {
    if (!json.is_object()) throw std::invalid_argument("an object was expected");
  }
  template <class T>
  void operator()(const char* key, T& value) {
    if (!json_.contains(key)) throw std::invalid_argument(cat("'", key, "' is missing"));
    later(key, value);
  }
  // A field that sandboxes stored before it existed do not have: there it keeps its default.
  template <class T>
  void later(const char* key, T& value) {
    auto found = json_.find(key);
    if (found == json_.end()) return;
    try {
      get(*found, value);
    } catch (const std::exception& error) {
      throw std::invalid_argument(cat(key, ": ", error.what()));
    }
    seen_.insert(key);
  }
  void finish() const {
    for (const auto& [key, value] : json_.items())
      if (!seen_.contains(key)) throw std::invalid_argument(cat("'", key, "' is unknown"));
  }

 private:
  const Json& json_;
  std::set<std::string> seen_;
};

void fields(auto& self, auto&& field)
  requires std::same_as<std::remove_const_t<std::remove_reference_t<decltype(self)>>, ImageSource>
{
  field("kind", self.kind);
  field("reference", self.reference);
  field("format", self.format);
  field("fstype", self.fstype);
}
void fields(auto& self, auto&& field)
  requires std::same_as<std::remove_const_t<std::remove_reference_t<decltype(self)>>, RootDisk>
{
  field("kind", self.kind);
  field("size_mib", self.size_mib);
  field.later("source", self.source);
  field.later("format", self.format);
  field.later("fstype", self.fstype);
  field.later("clone", self.clone);
}
void fields(auto& self, auto&& field)
  requires std::same_as<std::remove_const_t<std::remove_reference_t<decltype(self)>>, Mount>
{
  field("kind", self.kind);
  field("target", self.target);
  field("size_mib", self.size_mib);
  field("source", self.source);
  field("format", self.format);
  field("fstype", self.fstype);
  field("read_only", self.read_only);
  field("noexec", self.noexec);
  field("nosuid", self.nosuid);
  field("nodev", self.nodev);
  field.later("source_type", self.source_type);
  field.later("follow_root_symlinks", self.follow_root_symlinks);
  field.later("protect_hooks", self.protect_hooks);
  field.later("stat_virtualization", self.stat_virtualization);
  field.later("host_permissions", self.host_permissions);
  field.later("quota_mib", self.quota_mib);
  field.later("volume", self.volume);
  field.later("volume_kind", self.volume_kind);
}
void fields(auto& self, auto&& field)
  requires std::same_as<std::remove_const_t<std::remove_reference_t<decltype(self)>>, Script>
{
  field("name", self.name);
}
void fields(auto& self, auto&& field)
  requires std::same_as<std::remove_const_t<std::remove_reference_t<decltype(self)>>, Patch>
{
  field("kind", self.kind);
  field("path", self.path);
  field("source", self.source);
  field("mode", self.mode);
  field("replace", self.replace);
}
void fields(auto& self, auto&& field)
  requires std::same_as<std::remove_const_t<std::remove_reference_t<decltype(self)>>, ResourceLimit>
{
  field("resource", self.resource);
  field("soft", self.soft);
  field("hard", self.hard);
}
void fields(auto& self, auto&& field)
  requires std::same_as<std::remove_const_t<std::remove_reference_t<decltype(self)>>, ImageConfig>
{
  field("env", self.env);
  field("entrypoint", self.entrypoint);
  field("cmd", self.cmd);
  field("working_dir", self.working_dir);
  field("user", self.user);
  field("labels", self.labels);
  field("stop_signal", self.stop_signal);
}
void fields(auto& self, auto&& field)
  requires std::same_as<std::remove_const_t<std::remove_reference_t<decltype(self)>>, SandboxConfig>
{
  field("name", self.name);
  field("image", self.image);
  field("cpus", self.cpus);
  field("memory_mib", self.memory_mib);
  field("env", self.env);
  field("workdir", self.workdir);
  field("user", self.user);
  field("entrypoint", self.entrypoint);
  field("cmd", self.cmd);
  field("hostname", self.hostname);
  field("shell", self.shell);
  field("labels", self.labels);
  field("rlimits", self.rlimits);
  field("root_disk", self.root_disk);
  field.later("from_snapshot", self.from_snapshot);
  field.later("mounts", self.mounts);
  field.later("scripts", self.scripts);
  field.later("patches", self.patches);
  field.later("network", self.network);
  field("pull_policy", self.pull_policy);
  field("machine", self.machine);
  field.later("isolation", self.isolation);
  field("max_duration_ms", self.max_duration);
  field("idle_timeout_ms", self.idle_timeout);
  field("ephemeral", self.ephemeral);
  field("detached", self.detached);
  field("startup_command", self.startup_command);
  field("keep_after_startup_success", self.keep_after_startup_success);
}
void fields(auto& self, auto&& field)
  requires std::same_as<std::remove_const_t<std::remove_reference_t<decltype(self)>>, StoredConfig>
{
  field("config", self.config);
  field("manifest_digest", self.manifest_digest);
  field("layers", self.layers);
  field.later("patched", self.patched);
  field.later("snapshot_id", self.snapshot_id);
  field("image", self.image);
}

template <class E>
struct Names;
template <>
struct Names<ImageSource::Kind> {
  static constexpr const char* list[] = {"oci", "directory", "disk"};
};
template <>
struct Names<Mount::Kind> {
  static constexpr const char* list[] = {"tmpfs", "disk", "bind", "named"};
};
template <>
struct Names<Mount::SourceType> {
  static constexpr const char* list[] = {"any", "directory", "file"};
};
template <>
struct Names<StatVirtualization> {
  static constexpr const char* list[] = {"strict", "relaxed", "off"};
};
template <>
struct Names<HostPermissions> {
  static constexpr const char* list[] = {"private", "mirror"};
};
template <>
struct Names<VolumeKind> {
  static constexpr const char* list[] = {"directory", "disk"};
};
template <>
struct Names<Patch::Kind> {
  static constexpr const char* list[] = {"text",      "file",     "mkdir",   "append",
                                         "copy_file", "copy_dir", "symlink", "remove"};
};
template <>
struct Names<RootDisk::Kind> {
  static constexpr const char* list[] = {"managed", "tmpfs", "flat", "disk"};
};
template <>
struct Names<RootDisk::Clone> {
  static constexpr const char* list[] = {"auto", "copy", "reflink"};
};
template <>
struct Names<DiskFormat> {
  static constexpr const char* list[] = {"raw", "qcow2"};
};
template <>
struct Names<PullPolicy> {
  static constexpr const char* list[] = {"always", "if-missing", "never"};
};
template <>
struct Names<Isolation> {
  static constexpr const char* list[] = {"process", "hardware"};
};
template <>
struct Names<MachineChoice> {
  static constexpr const char* list[] = {"auto", "kvm", "portable"};
};

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;

template <class T>
void put(Json& json, const T& value) {
  if constexpr (std::is_enum_v<T>) {
    json = Names<T>::list[static_cast<size_t>(value)];
  } else if constexpr (is_optional<T>) {
    if (value) {
      put(json, *value);
    } else {
      json = nullptr;
    }
  } else if constexpr (std::same_as<T, std::chrono::milliseconds>) {
    json = value.count();
  } else if constexpr (std::same_as<T, NetworkConfig>) {
    json = state::network_to_json(value);
  } else if constexpr (std::same_as<T, std::vector<std::pair<std::string, std::string>>>) {
    json = Json::array();
    for (const auto& [key, text] : value) json.push_back(Json::array({key, text}));
  } else if constexpr (is_vector<T>) {
    json = Json::array();
    for (const auto& item : value) put(json.emplace_back(), item);
  } else if constexpr (std::same_as<T, std::map<std::string, std::string>>) {
    json = Json::object();
    for (const auto& [key, text] : value) json[key] = text;
  } else if constexpr (requires(Writer writer) { fields(value, writer); }) {
    Writer writer;
    fields(value, writer);
    json = writer.take();
  } else {
    json = value;
  }
}

template <class T>
void get(const Json& json, T& value) {
  if constexpr (std::is_enum_v<T>) {
    auto name = json.get_ref<const std::string&>();
    for (size_t i = 0; i < std::size(Names<T>::list); ++i)
      if (name == Names<T>::list[i]) return void(value = static_cast<T>(i));
    throw std::invalid_argument(cat("'", name, "' is unknown"));
  } else if constexpr (is_optional<T>) {
    value.reset();
    if (!json.is_null()) get(json, value.emplace());
  } else if constexpr (std::same_as<T, NetworkConfig>) {
    value = state::network_from_json(json);
  } else if constexpr (std::same_as<T, std::chrono::milliseconds>) {
    if (!json.is_number_integer()) throw std::invalid_argument("an integer was expected");
    value = std::chrono::milliseconds(json.template get<int64_t>());
  } else if constexpr (std::same_as<T, std::vector<std::pair<std::string, std::string>>>) {
    if (!json.is_array()) throw std::invalid_argument("an array was expected");
    value.clear();
    for (const auto& item : json) {
      if (!item.is_array() || item.size() != 2) throw std::invalid_argument("a pair was expected");
      value.emplace_back(item[0].template get_ref<const std::string&>(),
                         item[1].template get_ref<const std::string&>());
    }
  } else if constexpr (is_vector<T>) {
    if (!json.is_array()) throw std::invalid_argument("an array was expected");
    value.clear();
    for (const auto& item : json) get(item, value.emplace_back());
  } else if constexpr (std::same_as<T, std::map<std::string, std::string>>) {
    if (!json.is_object()) throw std::invalid_argument("an object was expected");
    value.clear();
    for (const auto& [key, item] : json.items()) value[key] = item.template get_ref<const std::string&>();
  } else if constexpr (std::same_as<T, std::string>) {
    value = json.get_ref<const std::string&>();
  } else if constexpr (std::same_as<T, bool>) {
    if (!json.is_boolean()) throw std::invalid_argument("true or false was expected");
    value = json.template get<bool>();
  } else if constexpr (std::is_integral_v<T>) {
    if (!json.is_number_unsigned()) throw std::invalid_argument("a whole number was expected");
    auto wide = json.template get<uint64_t>();
    if (wide > std::numeric_limits<T>::max()) throw std::invalid_argument("the number is out of range");
    value = static_cast<T>(wide);
  } else {
    Reader reader(json);
    fields(value, reader);
    reader.finish();
  }
}

}  // namespace

Result<std::string> to_json(const StoredConfig& stored) {
  try {
    Json json;
    json["format"] = kFormat;
    Json body;
    put(body, stored);
    json.update(body);
    return json.dump();
  } catch (const std::exception&) {
    return fail(ErrorKind::invalid_config, "the configuration contains text that is not UTF-8");
  }
}

Result<StoredConfig> stored_config_from_json(const std::string& text) {
  try {
    Json json = Json::parse(text);
    int format = json.at("format").get<int>();
    if (format != kFormat)
      return fail(Error(ErrorKind::unsupported, cat("the stored configuration has format ", format))
                      .hint("it was written by another version of msb; use that one, or remove the sandbox"));
    json.erase("format");
    StoredConfig stored;
    get(json, stored);
    return stored;
  } catch (const std::exception& error) {
    return fail(ErrorKind::corrupt, cat("the stored configuration cannot be read: ", error.what()));
  }
}

std::string shown_config(const std::string& stored) {
  // No password without an '@' before its host. Most configurations have none, and lists of sandboxes are long.
  if (stored.find('@') == std::string::npos) return stored;
  Json json = Json::parse(stored, nullptr, /*allow_exceptions=*/false);
  const Json::json_pointer proxy("/config/network/proxy");
  if (!json.contains(proxy) || !json[proxy].is_string()) return json.is_discarded() ? "" : stored;
  json[proxy] = state::shown_proxy(json[proxy].get_ref<const std::string&>());
  return json.dump();
}

}  // namespace msb
