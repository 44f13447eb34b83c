// Patches of a sandbox: their rules, and the files of the host that they need.
#pragma once

#include <string>
#include <vector>

#include <microsandbox/config.h>

#include "base/result.h"

namespace msb {

// "copy_file /etc/x", as messages name a patch.
std::string describe(const Patch& patch);

// Without looking at the disk. Errors: invalid_config (a path that is not the guest's, modes that are none, patches of
// a disk image).
Result<> check_patches(const SandboxConfig& config);

// Finds what is to be copied; sources become absolute. Errors: path_not_found, not_a_directory, is_a_directory.
Result<> resolve_patches(std::vector<Patch>& patches);

}  // namespace msb
