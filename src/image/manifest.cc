#include "image/manifest.h"

#include <sys/utsname.h>

#include <algorithm>
#include <set>

#include "image/json.h"

namespace msb::image {
namespace {

Error malformed(std::string_view why) {
  return Error(ErrorKind::protocol, cat("the manifest is malformed: ", why));
}

Platform parse_platform(const Json& json) {
  Platform out;
  out.os = string_member(json, "os").value_or("");
  out.architecture = string_member(json, "architecture").value_or("");
  out.variant = string_member(json, "variant").value_or("");
  return out;
}

Result<Descriptor> parse_descriptor(const Json& json, std::string_view what) {
  Descriptor out;
  out.media_type = string_member(json, "mediaType").value_or("");
  const auto digest_text = string_member(json, "digest");
  if (!digest_text) return fail(malformed(cat(what, " has no digest")));
  auto digest = Digest::parse(*digest_text);
  if (!digest) return fail(malformed(cat(what, ": ", digest.error().message())));
  out.digest = std::move(*digest);
  const auto size = uint_member(json, "size");
  if (!size) return fail(malformed(cat(what, " has no size")));
  out.size = *size;
  if (const Json* platform = member(json, "platform")) out.platform = parse_platform(*platform);
  if (const Json* annotations = member(json, "annotations")) {
    out.reference_name = string_member(*annotations, "io.containerd.image.name")
                             .value_or(string_member(*annotations, "org.opencontainers.image.ref.name").value_or(""));
  }
  return out;
}

Result<Index> parse_index(const Json& json) {
  const Json* manifests = member(json, "manifests");
  if (manifests == nullptr || !manifests->is_array()) return fail(malformed("an index without manifests"));
  if (manifests->size() > kMaxIndexEntries) return fail(malformed("the index has more than 4096 entries"));
  Index out;
  for (const Json& item : *manifests) {
    MSB_TRY(auto entry, parse_descriptor(item, "an index entry"));
    out.manifests.push_back(std::move(entry));
  }
  return out;
}

bool is_layer_type(std::string_view type) {
  return type.empty() || type.starts_with("application/vnd.oci.image.layer.") ||
         type.starts_with("application/vnd.docker.image.rootfs.");
}

Result<Manifest> parse_single(const Json& json, std::string_view type) {
  Manifest out;
  out.media_type = type;
  const Json* config = member(json, "config");
  if (config == nullptr) return fail(malformed("it names no config"));
  MSB_TRY(out.config, parse_descriptor(*config, "the config"));
  if (out.config.size > kMaxManifestBytes) return fail(malformed("its config is larger than 4 MiB"));
  const Json* layers = member(json, "layers");
  if (layers == nullptr || !layers->is_array()) return fail(malformed("it names no layers"));
  if (layers->size() > kMaxLayers) return fail(malformed(cat("it has more than ", kMaxLayers, " layers")));
  for (const Json& item : *layers) {
    MSB_TRY(auto layer, parse_descriptor(item, cat("layer ", out.layers.size() + 1)));
    if (!is_layer_type(layer.media_type)) {
      return fail(ErrorKind::unsupported,
                  cat("this is not a container image: it has a layer of type ", layer.media_type.substr(0, 100)));
    }
    if (layer.size > kMaxLayerBytes) {
      return fail(ErrorKind::unsupported, cat("layer ", out.layers.size() + 1, " is larger than 10 GiB"));
    }
    out.layers.push_back(std::move(layer));
  }
  return out;
}

// Smaller is better; nullopt does not run here.
std::optional<int> variant_rank(const Platform& offered, const Platform& host) {
  if (offered.os != host.os || offered.architecture != host.architecture) return std::nullopt;
  if (offered.variant == host.variant) return 0;
  if (offered.variant.empty()) return 1;
  if (host.variant.empty() || host.architecture == "arm64") {
    // amd64/v2.. and arm64/v9 need a newer processor than the least one; take the humblest there is.
    const char level = offered.variant.back();
    return level >= '0' && level <= '9' ? 2 + (level - '0') : 100;
  }
  return std::nullopt;
}

std::map<std::string, std::string> parse_labels(const Json* json) {
  std::map<std::string, std::string> out;
  if (json == nullptr || !json->is_object()) return out;
  for (const auto& [key, value] : json->items()) {
    if (value.is_string()) out[key] = value.get<std::string>();
  }
  return out;
}

}  // namespace

std::string Platform::str() const {
  return variant.empty() ? cat(os, "/", architecture) : cat(os, "/", architecture, "/", variant);
}

Platform host_platform() {
  utsname names{};
  ::uname(&names);
  const std::string_view machine = names.machine;
  if (machine == "x86_64") return {"linux", "amd64", ""};
  if (machine == "aarch64") return {"linux", "arm64", "v8"};
  return {"linux", std::string(machine), ""};
}

Result<std::variant<Index, Manifest>> parse_manifest(std::string_view text, std::string_view content_type) {
  MSB_TRY(auto json, parse_json(text, "the manifest"));
  if (!json.is_object()) return fail(malformed("it is not an object"));
  const bool schema1 = uint_member(json, "schemaVersion") == 1 || member(json, "fsLayers") != nullptr;
  if (schema1) {
    return fail(Error(ErrorKind::unsupported, "the image is in Docker's old schema 1 format, which cannot be verified")
                    .hint("push it again with a current Docker, podman or skopeo"));
  }
  std::string type = string_member(json, "mediaType").value_or("");
  if (type.empty()) type = content_type.substr(0, content_type.find(';'));
  if (type == media_type::kOciIndex || type == media_type::kDockerList) return parse_index(json);
  if (type == media_type::kOciManifest || type == media_type::kDockerManifest) return parse_single(json, type);
  // Layouts on disk and lax registries leave the type out: the members tell.
  if (member(json, "manifests") != nullptr) return parse_index(json);
  if (member(json, "config") != nullptr && member(json, "layers") != nullptr) {
    return parse_single(json, media_type::kOciManifest);
  }
  return fail(ErrorKind::unsupported,
              cat("this is not a container image: its manifest is of type '", type.substr(0, 100), "'"));
}

Result<ConfigDocument> parse_config(std::string_view text) {
  MSB_TRY(auto json, parse_json(text, "the image's config"));
  if (!json.is_object()) return fail(ErrorKind::protocol, "the image's config is not an object");
  ConfigDocument out;
  out.platform = parse_platform(json);
  const Json* rootfs = member(json, "rootfs");
  if (rootfs == nullptr || !rootfs->is_object() || member(*rootfs, "diff_ids") == nullptr) {
    return fail(ErrorKind::unsupported, "this is not a container image: its config has no rootfs");
  }
  const std::vector<std::string> ids = strings_member(*rootfs, "diff_ids");
  if (ids.size() > kMaxLayers)
    return fail(ErrorKind::protocol, cat("the image's config has more than ", kMaxLayers, " layers"));
  for (const std::string& id : ids) {
    auto digest = Digest::parse(id);
    if (!digest) return fail(ErrorKind::protocol, cat("the image's config is malformed: ", digest.error().message()));
    out.diff_ids.push_back(std::move(*digest));
  }
  if (const Json* config = member(json, "config")) {
    out.config.env = strings_member(*config, "Env");
    out.config.entrypoint = strings_member(*config, "Entrypoint");
    out.config.cmd = strings_member(*config, "Cmd");
    out.config.working_dir = string_member(*config, "WorkingDir").value_or("");
    out.config.user = string_member(*config, "User").value_or("");
    out.config.stop_signal = string_member(*config, "StopSignal").value_or("");
    out.config.labels = parse_labels(member(*config, "Labels"));
  }
  return out;
}

Result<> check_layers_match(const Manifest& manifest, const ConfigDocument& config) {
  if (manifest.layers.size() == config.diff_ids.size()) return {};
  return fail(ErrorKind::protocol,
              cat("the manifest names ", manifest.layers.size(), " layers but the config ", config.diff_ids.size()));
}

Result<Descriptor> select_platform(const Index& index, const Platform& host, std::string_view reference) {
  const Descriptor* best = nullptr;
  int best_rank = 0;
  std::set<std::string> offers;
  for (const Descriptor& entry : index.manifests) {
    if (!entry.platform) continue;
    if (entry.platform->os != "unknown") offers.insert(entry.platform->str());  // "unknown" entries are attestations
    const auto rank = variant_rank(*entry.platform, host);
    if (rank && (best == nullptr || *rank < best_rank)) {
      best = &entry;
      best_rank = *rank;
    }
  }
  if (best != nullptr) return *best;
  // Layouts made by simple tools have a single entry without a platform.
  if (index.manifests.size() == 1 && !index.manifests.front().platform) return index.manifests.front();
  std::string list;
  for (const std::string& offer : offers) list += (list.empty() ? "" : ", ") + offer;
  Error error(ErrorKind::image_not_found, cat(reference, " has no image for ", host.str()));
  if (!list.empty()) error.hint(cat("it is made for ", list));
  return fail(std::move(error));
}

}  // namespace msb::image
