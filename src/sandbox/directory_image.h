// A directory of the host as a root file system: copied into one EROFS image, private to a sandbox.
#pragma once

#include <string>

#include "base/result.h"

namespace msb {

// Writes `output` (replaced). Owners, modes, times, hard links, devices, holes and the extended attributes user.* and
// security.capability are kept, except that what belongs to the caller belongs to root in the guest when the caller
// is not root. Directories on other file systems (/proc, mounts) are empty. Symlinks are copied, never
// followed. Files that cannot be read are errors that name them.
Result<> make_directory_image(const std::string& directory, const std::string& output);

}  // namespace msb
