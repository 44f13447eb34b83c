// The three JSON documents of an image: index (a manifest per platform), manifest (config + layers), config.
// OCI and Docker schema 2 are read alike. All of it is foreign: bounded, judged, never trusted before its digest is.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <microsandbox/image.h>

#include "image/digest.h"

namespace msb::image {

inline constexpr size_t kMaxLayers = 1000;
inline constexpr size_t kMaxIndexEntries = 4096;
inline constexpr uint64_t kMaxLayerBytes = uint64_t{10} << 30;  // compressed (spec/semantics 9)

namespace media_type {
inline constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kOciConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kOciLayer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view kDockerList = "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kDockerConfig = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view kDockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
}  // namespace media_type

struct Platform {
  std::string os = "linux";
  std::string architecture;
  std::string variant;
  std::string str() const;  // "linux/arm64/v8"
};
// linux on this machine's processor: sandboxes run what the host can run.
Platform host_platform();

struct Descriptor {
  std::string media_type;
  Digest digest = Digest::from_hex({});
  uint64_t size = 0;
  std::optional<Platform> platform;
  std::string reference_name;  // annotation org.opencontainers.image.ref.name (or containerd's full name)
};

struct Index {
  std::vector<Descriptor> manifests;
};

struct Manifest {
  std::string media_type;
  Descriptor config;
  std::vector<Descriptor> layers;
};

struct ConfigDocument {
  Platform platform;
  ImageConfig config;
  std::vector<Digest> diff_ids;
};

// `content_type` is the registry's word for it; the document's own mediaType wins. Docker schema 1 is
// ErrorKind::unsupported; anything malformed is ErrorKind::protocol.
Result<std::variant<Index, Manifest>> parse_manifest(std::string_view text, std::string_view content_type);
Result<ConfigDocument> parse_config(std::string_view text);
// One diff id a layer, or ErrorKind::protocol.
Result<> check_layers_match(const Manifest& manifest, const ConfigDocument& config);

// The entry to run on `host`. ErrorKind::image_not_found lists what the image is made for.
Result<Descriptor> select_platform(const Index& index, const Platform& host, std::string_view reference);

}  // namespace msb::image
