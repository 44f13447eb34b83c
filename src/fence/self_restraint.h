// Walls that a running process raises round itself, for good: what it may open, and what it may call. For a process
// that cannot start with nothing, because it has to open a few files while untrusted bytes already reach it.
//
// Each call applies to the calling thread and those it makes later; call them while there is one thread. Where the
// kernel lacks a wall the report says so and nothing else changes.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "fence/seccomp_filter.h"
#include "fence/walls.h"

namespace msb::fence {

struct PathGrant {
  enum class Access {
    read,     // this file
    modify,   // read and write this file
    arrange,  // make, remove and move directories directly or anywhere below this one; their contents stay closed
    prune,    // remove empty directories anywhere below this one, nothing else
    manage,   // everything below this directory, but not executing, and no devices
    browse,   // read files and list directories anywhere below this one
    serve,    // like manage, with symbolic links and without sockets: what a share's guest may do in it
  };
  std::string path;  // must exist
  Access access = Access::read;
};

enum class TcpPorts { none, all };

// Landlock: from now on no file can be opened, made or removed but those granted (descriptors already open keep
// working), no TCP port bound or connected to (unless `ports` are), no abstract socket reached. Wants no_new_privs.
Result<WallReport> restrict_paths(const std::vector<PathGrant>& grants, TcpPorts ports = TcpPorts::none);

// Loads the filter. Wants no_new_privs.
Result<WallReport> restrict_calls(const SeccompFilter& filter);

}  // namespace msb::fence
