#include "image/puller.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "image/clock.h"

namespace msb::image {
namespace {

constexpr size_t kParallelLayers = 4;
constexpr uint64_t kProgressStep = uint64_t{256} << 10;

// The layers of one image on their way into the cache.
class LayerPull {
 public:
  LayerPull(const state::Home& home, const Reference& reference, RemoteImage& image, const WorkDir& work, Reuse reuse,
            Progress& progress, Cancellation& cancellation)
      : cache_(home),
        reference_(reference),
        image_(image),
        work_(work),
        reuse_(reuse),
        progress_(progress),
        cancellation_(cancellation),
        layers_(image.manifest.layers.size()) {}

  Result<std::vector<CachedLayer>> run() {
    {
      std::vector<std::jthread> threads;
      const size_t count = std::min(kParallelLayers, layers_.size());
      for (size_t i = 0; i < count; ++i) threads.emplace_back([this] { work_through(); });
    }
    if (error_) return fail(std::move(*error_));
    return std::move(layers_);
  }

 private:
  void work_through() {
    for (size_t index = next_++; index < layers_.size() && !cancellation_.cancelled(); index = next_++) {
      auto layer = pull_layer(static_cast<uint32_t>(index));
      if (layer) {
        layers_[index] = std::move(*layer);
        continue;
      }
      const std::lock_guard lock(mutex_);
      // Those that follow are cancelled because of this one.
      if (!error_) error_ = std::move(layer).error().context(cat("layer ", index + 1, " of ", layers_.size()));
      cancellation_.cancel();
    }
  }

  PullEvent event(PullEvent::Kind kind, uint32_t index) const {
    PullEvent out;
    out.kind = kind;
    out.layer_index = index;
    out.digest = image_.manifest.layers[index].digest.str();
    out.total_bytes = image_.manifest.layers[index].size;
    return out;
  }

  Result<CachedLayer> pull_layer(uint32_t index) {
    const Descriptor& blob = image_.manifest.layers[index];
    LayerConverterOptions options;
    MSB_TRY(options.compression, compression_of(blob.media_type.empty() ? media_type::kOciLayer : blob.media_type));
    options.expected_digest = blob.digest.str();
    const auto download = [&](LayerConverter& converter) -> Result<> {
      uint64_t received = 0;
      uint64_t told = 0;
      MSB_CHECK(image_.client->blob(reference_, blob, [&](ByteView bytes) -> Result<> {
        MSB_CHECK(converter.feed(bytes));
        received += bytes.size();
        if (received - told >= kProgressStep || received == blob.size) {
          told = received;
          PullEvent step = event(PullEvent::Kind::layer_download_progress, index);
          step.downloaded_bytes = received;
          progress_.emit(std::move(step));
        }
        return {};
      }));
      PullEvent done = event(PullEvent::Kind::layer_download_complete, index);
      done.downloaded_bytes = received;
      progress_.emit(std::move(done));
      return {};
    };
    MSB_TRY(auto layer, cache_.get(image_.config.diff_ids[index], options, work_, reuse_, download));
    PullEvent ready = event(PullEvent::Kind::layer_materialize_complete, index);
    ready.cached = layer.was_there;
    progress_.emit(std::move(ready));
    return layer;
  }

  const LayerCache cache_;
  const Reference& reference_;
  RemoteImage& image_;
  const WorkDir& work_;
  const Reuse reuse_;
  Progress& progress_;
  Cancellation& cancellation_;
  std::atomic<size_t> next_{0};
  std::mutex mutex_;
  std::optional<Error> error_;
  std::vector<CachedLayer> layers_;
};

}  // namespace

Result<PulledImage> pull_image(const state::Home& home, const Reference& reference, const RegistryAccess& access,
                               Reuse reuse, Progress& progress) {
  progress.emit(PullEvent::Kind::resolving);
  MSB_TRY(auto cancellation, Cancellation::create());
  MSB_TRY(auto image, open_remote_image(reference, access, *cancellation));
  uint64_t total = 0;
  for (const Descriptor& layer : image.manifest.layers) total += layer.size;
  progress.resolved(image.manifest_digest.str(), static_cast<uint32_t>(image.manifest.layers.size()), total);

  MSB_TRY(const auto work, WorkDir::create(home));
  LayerPull pull(home, reference, image, work, reuse, progress, *cancellation);
  MSB_TRY(const auto layers, pull.run());

  PulledImage out;
  ImageTree tree{image.manifest_digest.str(), image.manifest_json, image.config_json, {}};
  for (const CachedLayer& layer : layers) tree.layer_paths.push_back(layer.path);
  MSB_CHECK(make_image_tree(home, work, tree, reuse));
  progress.emit(PullEvent::Kind::stitch_complete);

  out.record = {.digest = image.manifest_digest.str(),
                .media_type = image.manifest.media_type,
                .config_digest = image.manifest.config.digest.str(),
                .config_json = image.config_json,
                .architecture = image.config.platform.architecture,
                .os = image.config.platform.os,
                .size_bytes = 0,
                .created_at = now_ms(),
                .layers = {}};
  for (size_t i = 0; i < layers.size(); ++i) {
    const Descriptor& blob = image.manifest.layers[i];
    const std::string diff_id = image.config.diff_ids[i].str();
    out.record.layers.push_back({diff_id, blob.digest.str(), blob.media_type, blob.size, layers[i].erofs_size});
    out.record.size_bytes += layers[i].erofs_size;
    if (layers[i].changed) out.changed_layers.push_back(diff_id);
  }
  return out;
}

}  // namespace msb::image
