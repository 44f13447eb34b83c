#include "image/image_tree.h"

#include <sys/stat.h>

#include <cstdio>

#include "base/temp_dir.h"
#include "image/layer_merge.h"

namespace msb::image {

bool has_image_tree(const state::Home& home, const std::string& manifest_digest) {
  return path_exists(home.image_tree(manifest_digest));
}

Result<> make_image_tree(const state::Home& home, const WorkDir& work, const ImageTree& image, Reuse reuse) {
  const std::string hex = image.manifest_digest.substr(image.manifest_digest.find(':') + 1);
  MSB_CHECK(home.make_dir(home.images_dir()));
  MSB_CHECK(home.make_dir(home.locks_dir()));
  MSB_TRY(auto lock, FileLock::acquire(home.lock("image-" + hex), LockMode::exclusive));
  if (reuse == Reuse::yes && has_image_tree(home, image.manifest_digest)) return {};

  const std::string fresh = cat(work.path(), "/image-", hex);
  MSB_CHECK(make_dirs(fresh, 0700));
  const std::string tree = fresh + "/tree.erofs";
  MSB_CHECK_CTX(merge_layers(image.layer_paths, tree), "merge the layers");
  MSB_CHECK(sync_path(tree));
  if (!image.manifest_json.empty()) MSB_CHECK(write_file_atomic(fresh + "/manifest.json", image.manifest_json));
  MSB_CHECK(write_file_atomic(fresh + "/config.json", image.config_json));
  MSB_CHECK(sync_path(fresh));

  const std::string place = home.image_dir(hex);
  if (path_exists(place)) {
    // A directory cannot be replaced in one step unless it is empty. Whoever looks in between makes the tree anew
    // from the layers, as after a lost cache; nobody sees half of one.
    const std::string old = cat(work.path(), "/old-", hex);
    if (::rename(place.c_str(), old.c_str()) != 0) return fail_errno(cat("move ", place, " away"));
  }
  if (::rename(fresh.c_str(), place.c_str()) != 0) return fail_errno(cat("put ", place, " in place"));
  return sync_path(home.images_dir());
}

}  // namespace msb::image
