// The root of a patched sandbox: one EROFS image, private to it, with the whole tree and what the patches have
// brought. All other files still lie in the image's layers, or in the image made of a directory, so it is as large as
// the patches and the tree's metadata. It stands before them on the guest's disk: [patch.erofs | layer 1 | ...].
#pragma once

#include <string>
#include <vector>

#include <microsandbox/patch.h>

#include "base/result.h"

namespace msb {

// `root` has the files of the disk without patches: an image's tree and its layers, or the one image of a directory.
// Writes `output` (replaced; removed on failure). Errors name the patch.
Result<> make_patch_image(const std::vector<Patch>& patches, const std::vector<std::string>& root,
                          const std::string& output);

}  // namespace msb
