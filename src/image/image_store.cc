#include "image/image_store.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "base/name_distance.h"
#include "base/temp_dir.h"
#include "image/archive_load.h"
#include "image/archive_save.h"
#include "image/clock.h"
#include "image/curl_transport.h"
#include "image/image_detail.h"
#include "image/puller.h"
#include "state/settings.h"
#include "state/snapshots.h"

namespace msb::image {
namespace {

// last_used_at need not be newer than this: a row written at each start would cost more than it tells.
constexpr int64_t kTouchInterval = 60'000;

uint64_t file_size(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> out;
  DIR* listing = ::opendir(directory.c_str());
  if (listing == nullptr) return out;
  while (const dirent* entry = ::readdir(listing)) {
    if (entry->d_name[0] != '.') out.emplace_back(entry->d_name);
  }
  ::closedir(listing);
  return out;
}

bool is_cached_hit(const PullOptions& options) {
  return !options.force && options.policy != PullPolicy::always;
}

// A snapshot is worth nothing without what lies beneath it.
std::set<std::string> images_of_snapshots(const state::Home& home) {
  std::set<std::string> digests;
  for (const auto& snapshot : state::list_snapshots(home)) digests.insert(snapshot.image);
  return digests;
}

}  // namespace

ImageStore::ImageStore(state::Home home, state::Database database, StoreOptions options)
    : home_(std::move(home)), database_(std::move(database)), options_(std::move(options)) {
  if (options_.docker_directory.empty()) options_.docker_directory = default_docker_directory();
  if (!options_.make_transport) {
    options_.make_transport = []() -> Result<std::unique_ptr<RegistryTransport>> {
      MSB_TRY(auto curl, CurlTransport::create());
      return std::unique_ptr<RegistryTransport>(std::move(curl));
    };
  }
}

Result<std::unique_ptr<ImageStore>> ImageStore::open(const state::Home& home, StoreOptions options) {
  MSB_TRY(auto database, state::Database::open(home));
  return std::unique_ptr<ImageStore>(new ImageStore(home, std::move(database), std::move(options)));
}

Result<std::optional<ImageStore::Found>> ImageStore::find(const Reference& reference) {
  state::Images images(database_);
  MSB_TRY(auto row, images.find_reference(reference.str()));
  if (!row && reference.digest()) {
    // Pulled by tag, asked for by the digest that came with it.
    MSB_TRY(const auto all, images.references());
    const std::string name = reference.name();
    const auto it = std::find_if(all.begin(), all.end(), [&](const state::ImageRefRecord& candidate) {
      return candidate.manifest == reference.digest()->str() && candidate.reference.starts_with(name + ":");
    });
    if (it != all.end()) row = *it;
  }
  if (!row) return std::optional<Found>();
  MSB_TRY(auto manifest, images.find_manifest(row->manifest));
  if (!manifest) return std::optional<Found>();
  return std::optional(Found{std::move(*row), std::move(*manifest)});
}

Result<ImageStore::Found> ImageStore::must_find(const std::string& text) {
  MSB_TRY(const auto reference, Reference::parse(text));
  MSB_TRY(auto found, find(reference));
  if (found) return std::move(*found);
  Error error(ErrorKind::image_not_found, cat("the image ", reference.familiar(), " is not in the cache"));
  error.hint(cat("pull it first: msb pull ", reference.familiar()));
  state::Images images(database_);
  MSB_TRY(const auto all, images.references());
  std::vector<std::string> names;
  for (const auto& row : all) names.push_back(row.reference);
  const auto near = nearest_names(reference.str(), names, 1);
  if (!near.empty()) error.hint(cat("the nearest there is: ", near.front()));
  return fail(std::move(error));
}

Result<std::optional<ResolvedImage>> ImageStore::complete(const Found& found, std::shared_ptr<FileLock> hold) {
  MSB_TRY(auto detail, make_detail(found.reference, found.manifest));
  ResolvedImage out{.detail = std::move(detail),
                    .tree = home_.image_tree(found.manifest.digest),
                    .layers = {},
                    .hold = std::move(hold)};
  const LayerCache cache(home_);
  for (const state::LayerRecord& layer : found.manifest.layers) {
    MSB_TRY(const auto diff_id, Digest::parse(layer.diff_id));
    const auto cached = cache.find(diff_id);
    // A file of another size was cut off or replaced by somebody: as good as gone.
    if (!cached || cached->erofs_size != layer.erofs_size) return std::optional<ResolvedImage>();
    out.layers.push_back(cached->path);
  }
  if (!has_image_tree(home_, found.manifest.digest)) {
    MSB_TRY(const auto work, WorkDir::create(home_));
    MSB_CHECK(
        make_image_tree(home_, work, {found.manifest.digest, {}, found.manifest.config_json, out.layers}, Reuse::yes));
  }
  return std::optional(std::move(out));
}

Result<> ImageStore::record(const state::ManifestRecord& manifest, const Reference& reference,
                            const std::vector<std::string>& changed_layers) {
  state::Images images(database_);
  const int64_t now = now_ms();
  MSB_CHECK(images.put(manifest, {reference.str(), manifest.digest, now, now}));
  for (const std::string& layer : changed_layers) {
    MSB_TRY(const auto others, images.manifests_with_layer(layer));
    for (const std::string& other : others) {
      if (other != manifest.digest) MSB_CHECK(remove_tree(home_.image_dir(other)));
    }
  }
  return {};
}

Result<ResolvedImage> ImageStore::fetch(const Reference& reference, const PullOptions& options) {
  Progress progress(options.progress, reference.str());
  const std::string settings_path =
      options_.settings_path.empty() ? state::settings_file(home_) : options_.settings_path;
  MSB_TRY(const auto settings, RegistrySettings::load(settings_path));
  MSB_TRY(const auto network, state::NetworkSettings::load(settings_path));
  if (!transport_) {
    MSB_TRY(transport_, options_.make_transport());
  }
  MSB_TRY(auto lock, hold_cache(home_));
  auto hold = std::make_shared<FileLock>(std::move(lock));
  const RegistryAccess access{*transport_,    settings,     options.registry, options_.docker_directory,
                              options_.retry, network.proxy};
  // A layer whose file was damaged has the wrong size in the cache: it would pass for present.
  MSB_TRY(const auto known, find(reference));
  Reuse reuse = options.force ? Reuse::no : Reuse::yes;
  if (known && reuse == Reuse::yes) MSB_CHECK(drop_damaged(known->manifest));
  MSB_TRY(const auto pulled, pull_image(home_, reference, access, reuse, progress));
  MSB_CHECK(record(pulled.record, reference, pulled.changed_layers));
  MSB_TRY(const auto found, find(reference));
  if (!found) return fail(ErrorKind::database, cat("the image ", reference.str(), " vanished while it was pulled"));
  MSB_TRY(auto resolved, complete(*found, std::move(hold)));
  if (!resolved)
    return fail(ErrorKind::io, cat("the layers of ", reference.str(), " vanished from the cache while it was pulled"));
  progress.emit(PullEvent::Kind::complete);
  return std::move(*resolved);
}

Result<> ImageStore::drop_damaged(const state::ManifestRecord& manifest) {
  for (const state::LayerRecord& layer : manifest.layers) {
    const std::string path = home_.layer(layer.diff_id);
    if (path_exists(path) && file_size(path) != layer.erofs_size) MSB_CHECK(remove_tree(path));
  }
  return {};
}

Result<ResolvedImage> ImageStore::resolve(const std::string& text, const PullOptions& options) {
  MSB_TRY(const auto reference, Reference::parse(text));
  const auto explain = [&](Error error) { return fail(explain_storage(std::move(error), home_)); };
  MSB_TRY(const auto found, find(reference));
  if (found && is_cached_hit(options)) {
    MSB_TRY(auto lock, hold_cache(home_));
    auto resolved = complete(*found, std::make_shared<FileLock>(std::move(lock)));
    if (!resolved) return explain(std::move(resolved).error());
    if (*resolved) {
      const int64_t now = now_ms();
      state::Images images(database_);
      if (now - found->reference.last_used_at > kTouchInterval)
        MSB_CHECK(images.touch(found->reference.reference, now));
      Progress progress(options.progress, reference.str());
      progress.resolved(found->manifest.digest, static_cast<uint32_t>(found->manifest.layers.size()), 0);
      progress.emit(PullEvent::Kind::complete);
      return std::move(**resolved);
    }
  }
  if (options.policy == PullPolicy::never) {
    if (!found) {
      return fail(Error(ErrorKind::image_not_found,
                        cat("the image ", reference.familiar(), " is not in the cache and pulling is off"))
                      .hint(cat("pull it: msb pull ", reference.familiar())));
    }
    return fail(Error(ErrorKind::image_not_found, cat("files of the image ", reference.familiar(),
                                                      " are missing from the cache and pulling is off"))
                    .hint(cat("pull it again: msb pull ", reference.familiar())));
  }
  auto fetched = fetch(reference, options);
  if (!fetched) return explain(std::move(fetched).error().context(cat("pull ", reference.familiar())));
  return fetched;
}

Result<ImageDetail> ImageStore::pull(const std::string& reference, const PullOptions& options) {
  MSB_TRY(auto resolved, resolve(reference, options));
  return std::move(resolved.detail);
}

Result<std::optional<ResolvedImage>> ImageStore::cached(const std::string& manifest_digest, const std::string& name) {
  state::Images images(database_);
  MSB_TRY(auto manifest, images.find_manifest(manifest_digest));
  if (!manifest) return std::optional<ResolvedImage>();
  MSB_TRY(auto lock, hold_cache(home_));
  const state::ImageRefRecord reference{name, manifest_digest, manifest->created_at, now_ms()};
  return complete({reference, std::move(*manifest)}, std::make_shared<FileLock>(std::move(lock)));
}

Result<std::vector<ImageInfo>> ImageStore::list() {
  state::Images images(database_);
  MSB_TRY(const auto rows, images.references());
  std::vector<ImageInfo> out;
  for (const state::ImageRefRecord& row : rows) {
    MSB_TRY(const auto manifest, images.find_manifest(row.manifest));
    if (manifest) out.push_back(make_info(row, *manifest));
  }
  return out;
}

Result<ImageDetail> ImageStore::inspect(const std::string& reference) {
  MSB_TRY(const auto found, must_find(reference));
  return make_detail(found.reference, found.manifest);
}

Result<> ImageStore::remove(const std::string& text, bool force) {
  MSB_TRY(const auto found, must_find(text));
  state::Images images(database_);
  {
    MSB_TRY(auto transaction, database_.begin());
    MSB_TRY(const auto users, images.sandboxes_using(found.manifest.digest));
    MSB_TRY(const int64_t references, images.count_references(found.manifest.digest));
    if (!users.empty() && references == 1 && !force) {
      std::string names;
      for (const std::string& user : users) names += (names.empty() ? "" : ", ") + user;
      return fail(
          Error(ErrorKind::image_in_use, cat("the image ", found.reference.reference, " is in use by ", names))
              .hint(cat("remove the sandbox first: msb rm ", users.front()))
              .hint("or take only the name away: msb image rm --force (its files stay as long as they are needed)"));
    }
    MSB_CHECK(images.remove_reference(found.reference.reference));
    MSB_CHECK(transaction.commit());
  }
  // Files go now if nobody is pulling; else the next prune takes them.
  MSB_TRY(const auto owned, try_own_cache(home_));
  if (!owned) return {};
  ImagePruneReport report;
  return drop_unused(report);
}

Result<> ImageStore::drop_unused(ImagePruneReport& report) {
  state::Images images(database_);
  MSB_TRY(const auto manifests, images.unused_manifests());
  const auto kept = images_of_snapshots(home_);
  for (const std::string& digest : manifests) {
    if (kept.contains(digest)) continue;
    MSB_CHECK(images.remove_manifest(digest));
    report.bytes_reclaimed += file_size(home_.image_tree(digest));
    MSB_CHECK(remove_tree(home_.image_dir(digest)));
    ++report.manifests_removed;
  }
  MSB_TRY(const auto layers, images.take_unused_layers());
  for (const state::LayerRecord& layer : layers) {
    const std::string path = home_.layer(layer.diff_id);
    report.bytes_reclaimed += file_size(path);
    MSB_CHECK(remove_tree(path));
    ++report.layers_removed;
  }
  return {};
}

// What a crash left: files without a row, and lock files of things that are gone.
Result<> ImageStore::drop_strays(ImagePruneReport& report) {
  state::Images images(database_);
  for (const std::string& name : names_in(home_.layers_dir())) {
    MSB_TRY(const bool known, images.has_layer("sha256:" + name.substr(0, name.find('.'))));
    if (known) continue;
    const std::string path = cat(home_.layers_dir(), "/", name);
    report.bytes_reclaimed += file_size(path);
    MSB_CHECK(remove_tree(path));
    ++report.layers_removed;
  }
  for (const std::string& name : names_in(home_.images_dir())) {
    MSB_TRY(const auto known, images.find_manifest("sha256:" + name));
    if (!known) MSB_CHECK(remove_tree(cat(home_.images_dir(), "/", name)));
  }
  return {};
}

Result<ImagePruneReport> ImageStore::prune() {
  ImagePruneReport report;
  MSB_TRY(const auto owned, own_cache(home_));
  state::Images images(database_);
  MSB_TRY(const auto references, images.references());
  const auto kept = images_of_snapshots(home_);
  for (const state::ImageRefRecord& reference : references) {
    MSB_TRY(const auto users, images.sandboxes_using(reference.manifest));
    if (!users.empty() || kept.contains(reference.manifest)) continue;
    MSB_CHECK(images.remove_reference(reference.reference));
    ++report.image_refs_removed;
  }
  MSB_CHECK(drop_unused(report));
  MSB_CHECK(drop_strays(report));
  return report;
}

Result<std::vector<ImageInfo>> ImageStore::load(const std::string& path, const std::vector<std::string>& tags,
                                                const PullProgress& progress) {
  MSB_TRY(const auto lock, hold_cache(home_));
  auto loaded = load_archive(home_, path, tags, progress);
  if (!loaded)
    return fail(explain_storage(std::move(loaded).error().context(cat("load ", path == "-" ? "stdin" : path)), home_));
  std::vector<ImageInfo> out;
  for (const LoadedImage& image : *loaded) {
    for (const Reference& reference : image.references) {
      MSB_CHECK(record(image.record, reference, {}));
      MSB_TRY(const auto found, find(reference));
      if (found) out.push_back(make_info(found->reference, found->manifest));
    }
  }
  return out;
}

Result<> ImageStore::save(const std::vector<std::string>& references, const std::string& path, ArchiveFormat format) {
  MSB_TRY(auto lock, hold_cache(home_));
  const auto hold = std::make_shared<FileLock>(std::move(lock));
  std::vector<SavedImage> images;
  for (const std::string& text : references) {
    MSB_TRY(const auto found, must_find(text));
    MSB_TRY(auto reference, Reference::parse(found.reference.reference));
    MSB_TRY(const auto files, complete(found, hold));
    if (!files) {
      return fail(Error(ErrorKind::image_not_found, cat("files of the image ", text, " are missing from the cache"))
                      .hint(cat("pull it again: msb pull ", text)));
    }
    images.push_back({std::move(reference), found.manifest.config_json, files->layers});
  }
  return save_archive(home_, images, path, format);
}

Result<> ImageStore::save_manifest(const std::string& manifest_digest, const std::string& name,
                                   const std::string& path) {
  MSB_TRY(const auto found, cached(manifest_digest, name));
  if (!found)
    return fail(
        Error(ErrorKind::image_not_found, cat("the image ", name, " (", manifest_digest, ") is not in the cache"))
            .hint(cat("pull it again: msb pull ", name)));
  MSB_TRY(auto reference, Reference::parse(name));
  state::Images images(database_);
  MSB_TRY(const auto manifest, images.find_manifest(manifest_digest));
  if (!manifest) return fail(ErrorKind::image_not_found, cat("the image ", name, " was removed meanwhile"));
  return save_archive(home_, {{std::move(reference), manifest->config_json, found->layers}}, path, ArchiveFormat::oci);
}

}  // namespace msb::image
