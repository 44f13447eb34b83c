#include "image/archive_save.h"

#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "base/atomic_file.h"
#include "base/fd.h"
#include "base/sha256.h"
#include "base/temp_dir.h"
#include "image/json.h"
#include "image/layer_export.h"
#include "image/manifest.h"
#include "image/tar_writer.h"

namespace msb::image {
namespace {

struct ExportedLayer {
  std::string file;
  Digest digest = Digest::from_hex({});
  uint64_t size = 0;
};

std::string blob_name(const Digest& digest) {
  return "blobs/sha256/" + digest.hex();
}

Json descriptor_json(std::string_view type, const Digest& digest, uint64_t size) {
  return {{"mediaType", type}, {"digest", digest.str()}, {"size", size}};
}

// Collects what all images need, each blob once, in the order of first use.
class Collection {
 public:
  explicit Collection(const WorkDir& work) : work_(work) {}

  Result<> add(const SavedImage& image) {
    std::vector<ExportedLayer> layers;
    for (const std::string& path : image.layer_paths) {
      MSB_TRY(auto layer, layer_of(path));
      layers.push_back(std::move(layer));
    }
    MSB_TRY(auto config, parse_json(image.config_json, "the image's config", ErrorKind::database));
    Json diff_ids = Json::array();
    Json layer_list = Json::array();
    Json layer_names = Json::array();
    for (const ExportedLayer& layer : layers) {
      diff_ids.push_back(layer.digest.str());
      layer_list.push_back(descriptor_json(media_type::kOciLayer, layer.digest, layer.size));
      layer_names.push_back(blob_name(layer.digest));
    }
    config["rootfs"] = {{"type", "layers"}, {"diff_ids", diff_ids}};
    const std::string config_text = config.dump(-1, ' ', false, Json::error_handler_t::replace);
    const Digest config_digest = add_text(config_text);
    const std::string manifest = Json{
        {"schemaVersion", 2},
        {"mediaType", media_type::kOciManifest},
        {"config", descriptor_json(media_type::kOciConfig, config_digest, config_text.size())},
        {"layers", layer_list}}.dump();
    const Digest manifest_digest = add_text(manifest);
    Json entry = descriptor_json(media_type::kOciManifest, manifest_digest, manifest.size());
    entry["platform"] = {{"os", config.value("os", "linux")}, {"architecture", config.value("architecture", "")}};
    entry["annotations"] = {{"io.containerd.image.name", image.reference.str()},
                            {"org.opencontainers.image.ref.name", image.reference.str()}};
    index_.push_back(std::move(entry));
    Json tags = Json::array();
    if (!image.reference.tag().empty()) tags.push_back(image.reference.name() + ":" + image.reference.tag());
    docker_.push_back({{"Config", blob_name(config_digest)}, {"RepoTags", tags}, {"Layers", layer_names}});
    return {};
  }

  Result<> write(int fd, ArchiveFormat format) const {
    TarWriter tar(fd);
    for (const auto& [name, text] : texts_) MSB_CHECK(tar.add_text(name, text));
    for (const auto& [source, layer] : layers_) {
      if (!written_once(source)) continue;
      MSB_TRY(const auto file, open_file(layer.file));
      MSB_CHECK(tar.add_file(blob_name(layer.digest), file.get(), layer.size));
    }
    if (format == ArchiveFormat::docker) {
      MSB_CHECK(tar.add_text("manifest.json", docker_.dump()));
    } else {
      MSB_CHECK(tar.add_text("oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
      MSB_CHECK(
          tar.add_text("index.json",
                       Json{{"schemaVersion", 2}, {"mediaType", media_type::kOciIndex}, {"manifests", index_}}.dump()));
    }
    return tar.finish();
  }

 private:
  Digest add_text(const std::string& text) {
    Digest digest = Digest::of(as_bytes(text));
    texts_[blob_name(digest)] = text;
    return digest;
  }

  // Two cached layers may give the same tar: the archive has each name once.
  bool written_once(const std::string& source) const {
    for (const auto& [other, layer] : layers_) {
      if (layer.digest == layers_.at(source).digest) return other == source;
    }
    return true;
  }

  Result<ExportedLayer> layer_of(const std::string& path) {
    if (const auto it = layers_.find(path); it != layers_.end()) return it->second;
    ExportedLayer out{.file = cat(work_.path(), "/layer-", layers_.size(), ".tar")};
    MSB_TRY(const auto file, open_file(out.file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    Sha256 hash;
    MSB_CHECK_CTX(export_layer(path,
                               [&](ByteView bytes) -> Result<> {
                                 hash.update(bytes);
                                 out.size += bytes.size();
                                 return write_full(file.get(), bytes);
                               }),
                  cat("make the tar of ", path));
    out.digest = Digest::from_hex(hash.finish_hex());
    layers_[path] = out;
    return out;
  }

  const WorkDir& work_;
  std::map<std::string, std::string> texts_;
  std::map<std::string, ExportedLayer> layers_;  // by the cached file
  Json index_ = Json::array();
  Json docker_ = Json::array();
};

}  // namespace

Result<> save_archive(const state::Home& home, const std::vector<SavedImage>& images, const std::string& path,
                      ArchiveFormat format) {
  if (images.empty()) return fail(ErrorKind::invalid_config, "no image to save is named");
  MSB_TRY(const auto work, WorkDir::create(home));
  Collection collection(work);
  for (const SavedImage& image : images) MSB_CHECK(collection.add(image));
  if (path == "-") return collection.write(STDOUT_FILENO, format);

  return write_file_then_rename(path, 0644, Sync::yes, [&](int fd) { return collection.write(fd, format); });
}

}  // namespace msb::image
