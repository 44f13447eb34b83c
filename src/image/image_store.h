// ImageStore: the images of one $MSB_HOME. What the public Image class and the sandbox library call.
//
//   MSB_TRY(auto store, ImageStore::open(home));
//   MSB_TRY(ResolvedImage image, store->resolve("python", options));   // by policy: from the cache or the registry
//   machine.disk(image.tree, image.layers);                            // concatenated, they are the guest's /dev/vda
//
// One object belongs to one thread and owns its database connection; any number of processes may do all of this
// at once. Files appear by rename and rows follow them, so that a crash leaves at worst unused files (prune).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <microsandbox/image.h>

#include "image/layer_cache.h"
#include "image/reference.h"
#include "image/remote_image.h"
#include "state/images.h"

namespace msb::image {

struct ResolvedImage {
  ImageDetail detail;
  std::string tree;                 // cache/images/<manifest>/tree.erofs
  std::vector<std::string> layers;  // cache/layers/<diff id>.erofs, the lowest first
  // Keeps prune away from these files; let go of it once a sandbox row names the manifest.
  std::shared_ptr<FileLock> hold;
};

struct StoreOptions {
  // Called on the first request to a registry; empty = CurlTransport.
  std::function<Result<std::unique_ptr<RegistryTransport>>()> make_transport;
  std::string settings_path;     // empty = $MSB_CONFIG_PATH, else config.json of the home
  std::string docker_directory;  // empty = $DOCKER_CONFIG, else ~/.docker
  RetryPolicy retry;
};

class ImageStore {
 public:
  static Result<std::unique_ptr<ImageStore>> open(const state::Home& home, StoreOptions options = {});

  // The image with all its files, pulled when the policy asks for it. PullPolicy::never with an incomplete
  // image is ErrorKind::image_not_found.
  Result<ResolvedImage> resolve(const std::string& reference, const PullOptions& options);
  Result<ImageDetail> pull(const std::string& reference, const PullOptions& options);

  // The image with this manifest, whatever it is called here; nullopt when it is not whole. `name` is what to call it.
  Result<std::optional<ResolvedImage>> cached(const std::string& manifest_digest, const std::string& name);

  Result<std::vector<ImageInfo>> list();
  Result<ImageDetail> inspect(const std::string& reference);
  Result<> remove(const std::string& reference, bool force);
  Result<ImagePruneReport> prune();

  Result<std::vector<ImageInfo>> load(const std::string& path, const std::vector<std::string>& tags,
                                      const PullProgress& progress);
  // By its manifest, whatever it is called here; `name` is what it is to be called there.
  Result<> save_manifest(const std::string& manifest_digest, const std::string& name, const std::string& path);
  Result<> save(const std::vector<std::string>& references, const std::string& path, ArchiveFormat format);

  // Enters an image whose files are in place, under a reference.
  Result<> record(const state::ManifestRecord& manifest, const Reference& reference,
                  const std::vector<std::string>& changed_layers);
  const state::Home& home() const { return home_; }

 private:
  ImageStore(state::Home home, state::Database database, StoreOptions options);
  struct Found {
    state::ImageRefRecord reference;
    state::ManifestRecord manifest;
  };
  // nullopt: no such image here.
  Result<std::optional<Found>> find(const Reference& reference);
  Result<Found> must_find(const std::string& reference);
  // nullopt: a layer's file is gone. A missing tree is made again.
  Result<std::optional<ResolvedImage>> complete(const Found& found, std::shared_ptr<FileLock> hold);
  Result<ResolvedImage> fetch(const Reference& reference, const PullOptions& options);
  // The cache must be owned.
  Result<> drop_unused(ImagePruneReport& report);
  Result<> drop_strays(ImagePruneReport& report);
  Result<> drop_damaged(const state::ManifestRecord& manifest);

  const state::Home home_;
  state::Database database_;
  StoreOptions options_;
  std::unique_ptr<RegistryTransport> transport_;
};

}  // namespace msb::image
