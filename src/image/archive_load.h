// Loads images from archives: docker-archive (manifest.json) and OCI layout (index.json), see archive_files.h for
// what they may be stored in. Layers go through the same conversion and cache as pulled ones.
#pragma once

#include <string>
#include <vector>

#include "image/layer_cache.h"
#include "image/progress.h"
#include "image/reference.h"
#include "state/images.h"

namespace msb::image {

struct LoadedImage {
  std::vector<Reference> references;  // at least one
  state::ManifestRecord record;
};

// The files are in place afterwards; rows are the caller's. `tags` name the archive's only image, in addition to
// the names it brings. ErrorKind::corrupt for what is no archive, invalid_config when a name is missing.
Result<std::vector<LoadedImage>> load_archive(const state::Home& home, const std::string& path,
                                              const std::vector<std::string>& tags, const PullProgress& progress);

}  // namespace msb::image
