// Puller: from a reference to converted layers and a merged tree in the cache. Writes no rows: the caller does,
// when everything is in place.
#pragma once

#include "image/image_tree.h"
#include "image/layer_cache.h"
#include "image/progress.h"
#include "image/remote_image.h"
#include "state/images.h"

namespace msb::image {

struct PulledImage {
  state::ManifestRecord record;
  std::vector<std::string> changed_layers;  // diff ids whose file was replaced by other bytes
};

// Layers come in parallel, each converted while it downloads. The first failure cancels the rest; whole layers
// stay in the cache for the next try, nothing else is left.
Result<PulledImage> pull_image(const state::Home& home, const Reference& reference, const RegistryAccess& access,
                               Reuse reuse, Progress& progress);

}  // namespace msb::image
