// Images: pulled from registries or loaded from archives, converted once, kept in $MSB_HOME/cache.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <microsandbox/config.h>

namespace msb {

// What happens during a pull, in order per layer. Delivered on the pulling threads, one at a time.
struct PullEvent {
  enum class Kind {
    resolving,                // asking the registry for the manifest
    resolved,                 // manifest_digest, layer_count, total_bytes are known
    layer_download_progress,  // downloaded_bytes of total_bytes of layer_index
    layer_download_complete,
    layer_materialize_complete,  // the layer is in the cache; also sent for layers that were there already
    stitch_complete,             // the layers are merged into one tree
    complete,
  };
  Kind kind = Kind::resolving;
  std::string reference;
  std::string manifest_digest;
  uint32_t layer_count = 0;
  uint32_t layer_index = 0;  // 0-based
  std::string digest;        // of the layer's blob
  uint64_t downloaded_bytes = 0;
  uint64_t total_bytes = 0;  // resolved: of the whole image; progress: of the layer
  bool cached = false;       // materialize_complete: nothing had to be downloaded
};
using PullProgress = std::function<void(const PullEvent&)>;

struct ImageConfig {
  std::vector<std::string> env;  // "K=V"
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::string working_dir;
  std::string user;
  std::map<std::string, std::string> labels;
  std::string stop_signal;
};

struct ImageLayer {
  std::string diff_id;      // "sha256:..." of the uncompressed tar
  std::string blob_digest;  // of the compressed blob
  std::string media_type;
  uint64_t compressed_size = 0;
  uint64_t erofs_size = 0;
};

struct ImageInfo {
  std::string reference;  // canonical: "docker.io/library/python:3.12"
  std::string manifest_digest;
  std::string architecture;
  std::string os;
  uint64_t size_bytes = 0;  // of the layers in the cache
  uint32_t layer_count = 0;
  int64_t created_at_ms = 0;  // pulled or loaded, Unix time
  int64_t last_used_at_ms = 0;
};

struct ImageDetail {
  ImageInfo info;
  std::string config_digest;
  ImageConfig config;
  std::vector<ImageLayer> layers;
};

struct ImagePruneReport {
  uint32_t image_refs_removed = 0;
  uint32_t manifests_removed = 0;
  uint32_t layers_removed = 0;
  uint64_t bytes_reclaimed = 0;
};

struct PullOptions {
  PullPolicy policy = PullPolicy::if_missing;
  bool force = false;  // downloads and converts again even what the cache has
  RegistryOptions registry = {};
  PullProgress progress = {};
};

enum class ArchiveFormat { docker, oci };

class MSB_API Image {
 public:
  // Whether that could be an image's name; ErrorKind::invalid_config says what is wrong with it. Looks nothing up.
  static Result<> check_reference(const std::string& reference);
  static Result<ImageDetail> pull(const std::string& reference, const PullOptions& options = {});
  // A docker-archive or OCI layout: a tar file, a directory, or "-" for stdin. Returns what was loaded.
  // Extra tags name the (single) image of the archive.
  static Result<std::vector<ImageInfo>> load(const std::string& path, const std::vector<std::string>& tags = {},
                                             const PullProgress& progress = {});
  // Writes an archive to `path`, "-" for stdout.
  static Result<> save(const std::vector<std::string>& references, const std::string& path, ArchiveFormat format);
  static Result<std::vector<ImageInfo>> list();  // newest first
  static Result<ImageDetail> inspect(const std::string& reference);
  // ErrorKind::image_in_use when a sandbox still has it, unless forced.
  static Result<> remove(const std::string& reference, bool force = false);
  // Removes every image that no sandbox uses, and what nothing needs any more.
  static Result<ImagePruneReport> prune();
};

}  // namespace msb
