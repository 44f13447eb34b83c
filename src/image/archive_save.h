// Writes images as an archive that Docker, podman, skopeo and we can load.
//
// Both formats hold the same blobs (blobs/sha256/...); docker adds manifest.json, oci has oci-layout and index.json.
// The layers' tars are made anew from the cache: their digests, and so the image's, differ from the registry's,
// but the same image always gives the same bytes.
#pragma once

#include <string>
#include <vector>

#include <microsandbox/image.h>

#include "image/layer_cache.h"
#include "image/reference.h"

namespace msb::image {

struct SavedImage {
  Reference reference;
  std::string config_json;
  std::vector<std::string> layer_paths;  // the lowest first
};

// A file appears under its name when it is complete; "-" is stdout.
Result<> save_archive(const state::Home& home, const std::vector<SavedImage>& images, const std::string& path,
                      ArchiveFormat format);

}  // namespace msb::image
