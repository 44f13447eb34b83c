// Images: the image tables as typed queries. Rows only: the files in the cache are src/image's.
// A row is written after its files are in place, and removed before they go.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "state/database.h"

namespace msb::state {

struct LayerRecord {
  std::string diff_id;  // "sha256:..."
  std::string blob_digest;
  std::string media_type;
  uint64_t compressed_size = 0;
  uint64_t erofs_size = 0;
};

struct ManifestRecord {
  std::string digest;  // "sha256:..."
  std::string media_type;
  std::string config_digest;
  std::string config_json;
  std::string architecture;
  std::string os;
  uint64_t size_bytes = 0;
  int64_t created_at = 0;
  std::vector<LayerRecord> layers;  // the lowest first
};

struct ImageRefRecord {
  std::string reference;  // canonical
  std::string manifest;
  int64_t created_at = 0;
  int64_t last_used_at = 0;
};

class Images {
 public:
  // Borrows the database; same thread.
  explicit Images(Database& database) : database_(database) {}

  // The manifest with its layers, and the reference that leads to it, in one transaction.
  Result<> put(const ManifestRecord& manifest, const ImageRefRecord& reference);
  Result<> put_reference(const ImageRefRecord& reference);
  Result<> touch(const std::string& reference, int64_t now);

  Result<std::optional<ImageRefRecord>> find_reference(const std::string& reference);
  Result<std::optional<ManifestRecord>> find_manifest(const std::string& digest);
  Result<std::vector<ImageRefRecord>> references();  // newest first

  Result<> remove_reference(const std::string& reference);
  // Names of the sandboxes that were made from it.
  Result<std::vector<std::string>> sandboxes_using(const std::string& manifest);
  Result<int64_t> count_references(const std::string& manifest);
  // Needed by no reference and no sandbox.
  Result<std::vector<std::string>> unused_manifests();
  // Manifests that contain the layer.
  Result<std::vector<std::string>> manifests_with_layer(const std::string& diff_id);
  Result<> remove_manifest(const std::string& digest);
  // Removes the rows of layers that no manifest has, and returns them.
  Result<std::vector<LayerRecord>> take_unused_layers();
  Result<bool> has_layer(const std::string& diff_id);

 private:
  Database& database_;
};

}  // namespace msb::state
