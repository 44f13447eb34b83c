#include "state/images.h"

namespace msb::state {

Result<> Images::put(const ManifestRecord& manifest, const ImageRefRecord& reference) {
  MSB_TRY(auto transaction, database_.begin());
  MSB_CHECK(database_.run(
      "INSERT INTO manifest (digest, media_type, config_digest, config_json, architecture, os, size_bytes, created_at) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET size_bytes = excluded.size_bytes",
      {manifest.digest, manifest.media_type, manifest.config_digest, manifest.config_json, manifest.architecture,
       manifest.os, manifest.size_bytes, manifest.created_at}));
  MSB_CHECK(database_.run("DELETE FROM manifest_layer WHERE manifest = ?", {manifest.digest}));
  int64_t position = 0;
  for (const LayerRecord& layer : manifest.layers) {
    MSB_CHECK(
        database_.run("INSERT INTO layer (diff_id, erofs_size, created_at) VALUES (?, ?, ?) "
                      "ON CONFLICT (diff_id) DO UPDATE SET erofs_size = excluded.erofs_size",
                      {layer.diff_id, layer.erofs_size, manifest.created_at}));
    MSB_CHECK(database_.run(
        "INSERT INTO manifest_layer (manifest, position, diff_id, blob_digest, media_type, compressed_size) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        {manifest.digest, position++, layer.diff_id, layer.blob_digest, layer.media_type, layer.compressed_size}));
  }
  MSB_CHECK(put_reference(reference));
  return transaction.commit();
}

Result<> Images::put_reference(const ImageRefRecord& reference) {
  MSB_CHECK(
      database_.run("INSERT INTO image_ref (reference, manifest, created_at, last_used_at) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (reference) DO UPDATE SET manifest = excluded.manifest, "
                    "created_at = excluded.created_at, last_used_at = excluded.last_used_at",
                    {reference.reference, reference.manifest, reference.created_at, reference.last_used_at}));
  return {};
}

Result<> Images::touch(const std::string& reference, int64_t now) {
  MSB_CHECK(database_.run("UPDATE image_ref SET last_used_at = ? WHERE reference = ?", {now, reference}));
  return {};
}

Result<std::optional<ImageRefRecord>> Images::find_reference(const std::string& reference) {
  std::optional<ImageRefRecord> found;
  MSB_CHECK(database_.query(
      "SELECT manifest, created_at, last_used_at FROM image_ref WHERE reference = ?", {reference},
      [&](const Row& row) { found = ImageRefRecord{reference, row.text(0), row.integer(1), row.integer(2)}; }));
  return found;
}

Result<std::optional<ManifestRecord>> Images::find_manifest(const std::string& digest) {
  std::optional<ManifestRecord> found;
  MSB_CHECK(
      database_.query("SELECT media_type, config_digest, config_json, architecture, os, size_bytes, created_at "
                      "FROM manifest WHERE digest = ?",
                      {digest}, [&](const Row& row) {
                        found = ManifestRecord{digest,
                                               row.text(0),
                                               row.text(1),
                                               row.text(2),
                                               row.text(3),
                                               row.text(4),
                                               static_cast<uint64_t>(row.integer(5)),
                                               row.integer(6),
                                               {}};
                      }));
  if (!found) return found;
  MSB_CHECK(database_.query(
      "SELECT l.diff_id, m.blob_digest, m.media_type, m.compressed_size, l.erofs_size "
      "FROM manifest_layer m JOIN layer l ON l.diff_id = m.diff_id "
      "WHERE m.manifest = ? ORDER BY m.position",
      {digest}, [&](const Row& row) {
        found->layers.push_back({row.text(0), row.text(1), row.text(2), static_cast<uint64_t>(row.integer(3)),
                                 static_cast<uint64_t>(row.integer(4))});
      }));
  return found;
}

Result<std::vector<ImageRefRecord>> Images::references() {
  std::vector<ImageRefRecord> out;
  MSB_CHECK(database_.query(
      "SELECT reference, manifest, created_at, last_used_at FROM image_ref "
      "ORDER BY created_at DESC, reference",
      {}, [&](const Row& row) { out.push_back({row.text(0), row.text(1), row.integer(2), row.integer(3)}); }));
  return out;
}

Result<> Images::remove_reference(const std::string& reference) {
  MSB_CHECK(database_.run("DELETE FROM image_ref WHERE reference = ?", {reference}));
  return {};
}

Result<std::vector<std::string>> Images::sandboxes_using(const std::string& manifest) {
  std::vector<std::string> out;
  MSB_CHECK(database_.query("SELECT name FROM sandbox WHERE image_manifest = ? ORDER BY name", {manifest},
                            [&](const Row& row) { out.push_back(row.text(0)); }));
  return out;
}

Result<int64_t> Images::count_references(const std::string& manifest) {
  int64_t count = 0;
  MSB_CHECK(database_.query("SELECT count(*) FROM image_ref WHERE manifest = ?", {manifest},
                            [&](const Row& row) { count = row.integer(0); }));
  return count;
}

Result<std::vector<std::string>> Images::unused_manifests() {
  std::vector<std::string> out;
  MSB_CHECK(
      database_.query("SELECT digest FROM manifest WHERE NOT EXISTS (SELECT 1 FROM image_ref WHERE manifest = digest) "
                      "AND NOT EXISTS (SELECT 1 FROM sandbox WHERE image_manifest = digest)",
                      {}, [&](const Row& row) { out.push_back(row.text(0)); }));
  return out;
}

Result<std::vector<std::string>> Images::manifests_with_layer(const std::string& diff_id) {
  std::vector<std::string> out;
  MSB_CHECK(database_.query("SELECT DISTINCT manifest FROM manifest_layer WHERE diff_id = ?", {diff_id},
                            [&](const Row& row) { out.push_back(row.text(0)); }));
  return out;
}

Result<> Images::remove_manifest(const std::string& digest) {
  MSB_CHECK(database_.run("DELETE FROM manifest WHERE digest = ?", {digest}));
  return {};
}

Result<std::vector<LayerRecord>> Images::take_unused_layers() {
  MSB_TRY(auto transaction, database_.begin());
  std::vector<LayerRecord> out;
  MSB_CHECK(
      database_.query("SELECT diff_id, erofs_size FROM layer WHERE NOT EXISTS "
                      "(SELECT 1 FROM manifest_layer m WHERE m.diff_id = layer.diff_id)",
                      {}, [&](const Row& row) {
                        LayerRecord layer;
                        layer.diff_id = row.text(0);
                        layer.erofs_size = static_cast<uint64_t>(row.integer(1));
                        out.push_back(std::move(layer));
                      }));
  for (const LayerRecord& layer : out) MSB_CHECK(database_.run("DELETE FROM layer WHERE diff_id = ?", {layer.diff_id}));
  MSB_CHECK(transaction.commit());
  return out;
}

Result<bool> Images::has_layer(const std::string& diff_id) {
  bool found = false;
  MSB_CHECK(database_.query("SELECT 1 FROM layer WHERE diff_id = ?", {diff_id}, [&](const Row&) { found = true; }));
  return found;
}

}  // namespace msb::state
