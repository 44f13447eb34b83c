// Binds: directories and files of the host that a guest may see.
#pragma once

#include <microsandbox/mount.h>

#include "base/result.h"
#include "state/home.h"
#include "state/machine_spec.h"

namespace msb {

enum class Resolution {
  first,  // the sandbox is made: the source as the user wrote it becomes an absolute path, its type is noted
  again,  // the sandbox is started: it must be what it was
};

// Finds the source. Without follow_root_symlinks its links are followed once, by Resolution::first; with it at each
// start. What cannot be shared: home, and for writing what home lies in: whoever can write there is this user.
// Errors: path_not_found, is_a_directory, not_a_directory, permission_denied, unsupported, invalid_config.
Result<> resolve_bind(Mount& mount, const state::Home& home, Resolution resolution);

// The share that it comes to. Pure.
state::ShareSpec share_of(const Mount& mount, std::string name);

}  // namespace msb
