// The image directory cache/images/<manifest>: the merged tree (tree.erofs) and the documents it came from.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "image/layer_cache.h"

namespace msb::image {

struct ImageTree {
  std::string manifest_digest;
  std::string manifest_json;  // empty when it is not known any more
  std::string config_json;
  std::vector<std::string> layer_paths;  // the lowest first
};

bool has_image_tree(const state::Home& home, const std::string& manifest_digest);
// Merges the layers and puts the directory in place by rename. With Reuse::yes one that is there is kept.
Result<> make_image_tree(const state::Home& home, const WorkDir& work, const ImageTree& image, Reuse reuse);

}  // namespace msb::image
