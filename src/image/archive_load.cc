#include "image/archive_load.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/sha256.h"
#include "image/archive_files.h"
#include "image/clock.h"
#include "image/image_tree.h"
#include "image/json.h"
#include "image/manifest.h"

namespace msb::image {
namespace {

// One layer: a file of the archive and what is known of it.
struct LayerSource {
  std::string file;
  Descriptor blob;
  Compression compression = Compression::by_magic;
};

struct ImageSource {
  std::vector<Reference> references;
  std::string media_type;
  std::string manifest_json;
  Descriptor config_blob;
  std::string config_json;
  ConfigDocument config;
  std::vector<LayerSource> layers;
};

constexpr size_t kReadSize = size_t{256} << 10;

Result<> feed_file(const ArchiveFiles& files, const std::string& name, const std::function<Result<>(ByteView)>& sink) {
  MSB_TRY(const auto fd, files.open(name));
  Bytes buffer(kReadSize);
  for (;;) {
    MSB_TRY(const size_t count, read_full(fd.get(), buffer));
    if (count == 0) return {};
    MSB_CHECK(sink(ByteView(buffer).first(count)));
  }
}

// docker-archive states neither digests nor compression of its layers: both are found out here, because the
// image's identity (a manifest of our own making) needs them.
Result<LayerSource> describe_docker_layer(const ArchiveFiles& files, const std::string& name) {
  LayerSource out{.file = name, .blob = {}};
  Sha256 hash;
  Bytes head;
  MSB_CHECK(feed_file(files, name, [&](ByteView bytes) -> Result<> {
    if (out.blob.size == 0)
      head.assign(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(std::min(kMagicLength, bytes.size())));
    out.blob.size += bytes.size();
    hash.update(bytes);
    return {};
  }));
  out.blob.digest = Digest::from_hex(hash.finish_hex());
  MSB_TRY(out.compression, compression_by_magic(head));
  out.blob.media_type = std::string(media_type::kOciLayer);
  if (out.compression == Compression::gzip) out.blob.media_type += "+gzip";
  if (out.compression == Compression::zstd) out.blob.media_type += "+zstd";
  return out;
}

Json descriptor_json(const Descriptor& descriptor) {
  return {{"mediaType", descriptor.media_type}, {"digest", descriptor.digest.str()}, {"size", descriptor.size}};
}

std::string make_manifest(const ImageSource& image) {
  Json layers = Json::array();
  for (const LayerSource& layer : image.layers) layers.push_back(descriptor_json(layer.blob));
  return Json{{"schemaVersion", 2},
              {"mediaType", media_type::kOciManifest},
              {"config", descriptor_json(image.config_blob)},
              {"layers", layers}}
      .dump();
}

Result<std::vector<ImageSource>> read_docker(const ArchiveFiles& files) {
  MSB_TRY(const auto text, files.text("manifest.json"));
  MSB_TRY(const auto json, parse_json(text, "manifest.json", ErrorKind::corrupt));
  if (!json.is_array()) return fail(ErrorKind::corrupt, "manifest.json is not a list of images");
  std::vector<ImageSource> out;
  for (const Json& item : json) {
    ImageSource image;
    const auto config_file = string_member(item, "Config");
    if (!config_file) return fail(ErrorKind::corrupt, "manifest.json names no Config");
    MSB_TRY(image.config_json, files.text(*config_file));
    MSB_TRY(image.config, parse_config(image.config_json));
    image.config_blob = {.media_type = std::string(media_type::kOciConfig),
                         .digest = Digest::of(as_bytes(image.config_json)),
                         .size = image.config_json.size(),
                         .platform = {},
                         .reference_name = {}};
    const auto layers = strings_member(item, "Layers");
    if (layers.size() != image.config.diff_ids.size()) {
      return fail(ErrorKind::corrupt,
                  cat("manifest.json names ", layers.size(), " layers but the config ", image.config.diff_ids.size()));
    }
    for (const std::string& layer : layers) {
      MSB_TRY(auto source, describe_docker_layer(files, layer));
      image.layers.push_back(std::move(source));
    }
    for (const std::string& tag : strings_member(item, "RepoTags")) {
      MSB_TRY(auto reference, Reference::parse(tag));
      image.references.push_back(std::move(reference));
    }
    image.media_type = media_type::kOciManifest;
    image.manifest_json = make_manifest(image);
    out.push_back(std::move(image));
  }
  return out;
}

std::string blob_file(const Digest& digest) {
  return "blobs/sha256/" + digest.hex();
}

Result<std::string> verified_text(const ArchiveFiles& files, const Digest& digest) {
  MSB_TRY(auto text, files.text(blob_file(digest)));
  if (Digest::of(as_bytes(text)) == digest) return text;
  return fail(ErrorKind::corrupt, cat("the archive is damaged: ", blob_file(digest), " does not match its name"));
}

Result<ImageSource> read_oci_image(const ArchiveFiles& files, Descriptor entry) {
  ImageSource image;
  // A bare word is a tag of who knows what; only a full name is one.
  if (entry.reference_name.find_first_of(":/") != std::string::npos) {
    MSB_TRY(auto reference, Reference::parse(entry.reference_name));
    image.references.push_back(std::move(reference));
  }
  MSB_TRY(image.manifest_json, verified_text(files, entry.digest));
  MSB_TRY(auto parsed, parse_manifest(image.manifest_json, entry.media_type));
  if (const auto* index = std::get_if<Index>(&parsed)) {
    MSB_TRY(const auto chosen, select_platform(*index, host_platform(), "the archive"));
    MSB_TRY(image.manifest_json, verified_text(files, chosen.digest));
    MSB_TRY(parsed, parse_manifest(image.manifest_json, chosen.media_type));
  }
  const auto* manifest = std::get_if<Manifest>(&parsed);
  if (manifest == nullptr) return fail(ErrorKind::unsupported, "the archive holds an index of indexes");
  image.media_type = manifest->media_type;
  image.config_blob = manifest->config;
  MSB_TRY(image.config_json, verified_text(files, manifest->config.digest));
  MSB_TRY(image.config, parse_config(image.config_json));
  MSB_CHECK(check_layers_match(*manifest, image.config));
  for (const Descriptor& layer : manifest->layers) {
    LayerSource source{.file = blob_file(layer.digest), .blob = layer};
    MSB_TRY(source.compression, compression_of(layer.media_type.empty() ? media_type::kOciLayer : layer.media_type));
    image.layers.push_back(std::move(source));
  }
  return image;
}

Result<std::vector<ImageSource>> read_oci(const ArchiveFiles& files) {
  MSB_TRY(const auto text, files.text("index.json"));
  MSB_TRY(const auto parsed, parse_manifest(text, media_type::kOciIndex));
  const auto* index = std::get_if<Index>(&parsed);
  if (index == nullptr || index->manifests.empty()) return fail(ErrorKind::corrupt, "index.json names no images");
  const Platform host = host_platform();
  std::vector<ImageSource> out;
  for (const Descriptor& entry : index->manifests) {
    const bool foreign = entry.platform && !entry.platform->architecture.empty() &&
                         (entry.platform->os != host.os || entry.platform->architecture != host.architecture);
    if (foreign) continue;
    MSB_TRY(auto image, read_oci_image(files, entry));
    out.push_back(std::move(image));
  }
  if (!out.empty()) return out;
  MSB_TRY(const auto chosen, select_platform(*index, host, "the archive"));
  return fail(ErrorKind::image_not_found, cat("the archive has nothing for ", host.str()));
}

Result<state::ManifestRecord> install(const state::Home& home, const WorkDir& work, const ArchiveFiles& files,
                                      const ImageSource& image, Progress& progress) {
  const std::string manifest_digest = Digest::of(as_bytes(image.manifest_json)).str();
  uint64_t total = 0;
  for (const LayerSource& layer : image.layers) total += layer.blob.size;
  progress.resolved(manifest_digest, static_cast<uint32_t>(image.layers.size()), total);
  state::ManifestRecord out{.digest = manifest_digest,
                            .media_type = image.media_type,
                            .config_digest = image.config_blob.digest.str(),
                            .config_json = image.config_json,
                            .architecture = image.config.platform.architecture,
                            .os = image.config.platform.os,
                            .size_bytes = 0,
                            .created_at = now_ms(),
                            .layers = {}};
  const LayerCache cache(home);
  ImageTree tree{manifest_digest, image.manifest_json, image.config_json, {}};
  for (uint32_t i = 0; i < image.layers.size(); ++i) {
    const LayerSource& source = image.layers[i];
    LayerConverterOptions options;
    options.compression = source.compression;
    options.expected_digest = source.blob.digest.str();
    MSB_TRY(const auto layer,
            cache.get(image.config.diff_ids[i], options, work, Reuse::yes, [&](LayerConverter& converter) {
              return feed_file(files, source.file, [&](ByteView bytes) { return converter.feed(bytes); });
            }));
    tree.layer_paths.push_back(layer.path);
    out.layers.push_back({image.config.diff_ids[i].str(), source.blob.digest.str(), source.blob.media_type,
                          source.blob.size, layer.erofs_size});
    out.size_bytes += layer.erofs_size;
    PullEvent ready;
    ready.kind = PullEvent::Kind::layer_materialize_complete;
    ready.layer_index = i;
    ready.digest = source.blob.digest.str();
    ready.total_bytes = source.blob.size;
    ready.cached = layer.was_there;
    progress.emit(std::move(ready));
  }
  MSB_CHECK(make_image_tree(home, work, tree, Reuse::yes));
  progress.emit(PullEvent::Kind::stitch_complete);
  progress.emit(PullEvent::Kind::complete);
  return out;
}

}  // namespace

Result<std::vector<LoadedImage>> load_archive(const state::Home& home, const std::string& path,
                                              const std::vector<std::string>& tags, const PullProgress& progress) {
  std::vector<Reference> extra;
  for (const std::string& tag : tags) {
    MSB_TRY(auto reference, Reference::parse(tag));
    extra.push_back(std::move(reference));
  }
  MSB_TRY(const auto work, WorkDir::create(home));
  MSB_TRY(const auto files, ArchiveFiles::open_archive(path, work));
  std::vector<ImageSource> images;
  if (files->has("manifest.json")) {
    MSB_TRY(images, read_docker(*files));
  } else if (files->has("index.json")) {
    MSB_TRY(images, read_oci(*files));
  } else {
    return fail(Error(ErrorKind::corrupt, "this is no image archive: it has neither manifest.json nor index.json")
                    .hint("`docker save`, `podman save` and `skopeo copy ... oci-archive:FILE` make image archives")
                    .hint("a root file system as a directory needs no loading: msb run ./DIRECTORY"));
  }
  if (!extra.empty() && images.size() != 1) {
    return fail(ErrorKind::invalid_config,
                cat("a tag can be given to one image only, and the archive has ", images.size()));
  }
  std::vector<LoadedImage> out;
  for (ImageSource& image : images) {
    image.references.insert(image.references.end(), extra.begin(), extra.end());
    if (image.references.empty()) {
      return fail(Error(ErrorKind::invalid_config, "an image in the archive has no name")
                      .hint("give it one: msb load --tag NAME"));
    }
    Progress told(progress, image.references.front().str());
    MSB_TRY(auto record, install(home, work, *files, image, told));
    out.push_back({std::move(image.references), std::move(record)});
  }
  return out;
}

}  // namespace msb::image
