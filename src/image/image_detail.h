// Rows of the database as the public types.
#pragma once

#include <microsandbox/image.h>

#include "base/result.h"
#include "state/images.h"

namespace msb::image {

ImageInfo make_info(const state::ImageRefRecord& reference, const state::ManifestRecord& manifest);
// ErrorKind::database when the stored config is not one.
Result<ImageDetail> make_detail(const state::ImageRefRecord& reference, const state::ManifestRecord& manifest);

}  // namespace msb::image
