// The public Image: one store per call, so that every function may be called from any thread.
#include <microsandbox/image.h>

#include "image/image_store.h"
#include "image/reference.h"

namespace msb {
namespace {

Result<std::unique_ptr<image::ImageStore>> open_store() {
  MSB_TRY(auto home, state::Home::resolve());
  return image::ImageStore::open(home);
}

}  // namespace

Result<> Image::check_reference(const std::string& reference) {
  return image::Reference::parse(reference).map([](const auto&) {});
}

Result<ImageDetail> Image::pull(const std::string& reference, const PullOptions& options) {
  MSB_TRY(auto store, open_store());
  return store->pull(reference, options);
}

Result<std::vector<ImageInfo>> Image::load(const std::string& path, const std::vector<std::string>& tags,
                                           const PullProgress& progress) {
  MSB_TRY(auto store, open_store());
  return store->load(path, tags, progress);
}

Result<> Image::save(const std::vector<std::string>& references, const std::string& path, ArchiveFormat format) {
  MSB_TRY(auto store, open_store());
  return store->save(references, path, format);
}

Result<std::vector<ImageInfo>> Image::list() {
  MSB_TRY(auto store, open_store());
  return store->list();
}

Result<ImageDetail> Image::inspect(const std::string& reference) {
  MSB_TRY(auto store, open_store());
  return store->inspect(reference);
}

Result<> Image::remove(const std::string& reference, bool force) {
  MSB_TRY(auto store, open_store());
  return store->remove(reference, force);
}

Result<ImagePruneReport> Image::prune() {
  MSB_TRY(auto store, open_store());
  return store->prune();
}

}  // namespace msb
