// Directories inside the fence: how a program serves files of the host, and reaches nothing beside them.
//
// Each directory is cloned into a detached mount (open_tree), which is nowhere in any tree of mounts: ".." of its top
// is itself, devices and set-id bits mean nothing below it, and it is read-only where the program may only read,
// submounts included. What is mounted on the host later does not appear in it. All the program has is its descriptor.
//
// To open a file that it holds as O_PATH the program needs /proc/self/fd: nothing else reopens a file whatever has
// become of its name, without capabilities. That one directory becomes a detached mount too, and the working directory,
// so it has no name either and nothing of /proc beside it can be reached. Its links lead to what the first thread of
// the program has open, so a program that does not want its other files reopened has that thread give them up.
//
// Where there are no detached mounts (Linux before 5.12, or no mount namespace) the directories are opened plainly:
// Wall::share_mounts is down, and Landlock stands alone.
#pragma once

#include "fence/fence_child.h"

namespace msb::fence {

// Both put each directory's descriptor where the script wants it, and set FenceScript::descriptors. To be called by the
// child between clone and exec.
FenceOutcome detach_directories(FenceScript& script);
FenceOutcome open_directories(FenceScript& script);

}  // namespace msb::fence
