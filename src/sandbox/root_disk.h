// The disk that a sandbox writes its root to: made for its first start, or the user's own.
#pragma once

#include <string>

#include <microsandbox/config.h>

#include "base/result.h"
#include "state/home.h"

namespace msb {

// Finds a disk of the user's, whose path becomes absolute. Errors: path_not_found, invalid_config, corrupt.
Result<> resolve_root_disk(RootDisk& disk);

// Whether everything in an image, as its tree describes it, can be copied to an empty ext4 disk of that size, and
// whether `free` bytes of the host are enough for it. Errors: invalid_config, io (ENOSPC).
Result<> check_flat_size(const std::string& tree, const RootDisk& disk, uint64_t free);

// Makes `output`, an empty disk of the sandbox's own.
Result<> make_root_disk(const RootDisk& disk, const state::Home& home, const std::string& output);

}  // namespace msb
