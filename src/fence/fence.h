// The fence: runs one program so that it can reach nothing but the descriptors it was given and the files it was named.
//
// Works for any user. Each wall that the host does not grant (user namespaces switched off, an old kernel, a
// container's own seccomp profile) is left out and reported, the others still stand. docs/security.md says what each
// wall is for.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/child.h"
#include "base/result.h"
#include "fence/seccomp_filter.h"
#include "fence/walls.h"

namespace msb::fence {

// A file the fenced program may open for reading, under the same path as outside.
struct FenceFile {
  enum class Use { read, execute };
  std::string path;  // absolute
  Use use = Use::read;
};

// A directory that the program may work in, everything below it included: an O_PATH descriptor, made to a mount of its
// own that nothing leads out of. See fence_directories.h.
struct FenceDirectory {
  enum class Use { read, modify };
  std::string path;  // absolute
  int ours = -1;     // the same directory, open (O_PATH): another one there by now is an error
  int fd = -1;       // its number in the child, beside those of FencedCommand::fds
  Use use = Use::read;
};

// The control group that the program starts in (cgroup.h), or why there is none.
struct CgroupSeat {
  int directory = -1;
  std::string why_not;
};

struct FencedCommand {
  std::vector<std::string> argv;  // argv[0] is an absolute path and one of `files`
  std::vector<std::string> env;   // the whole environment
  std::vector<FenceFile> files;
  std::vector<std::pair<int, int>> fds;  // {ours, number in the child}; nothing else is inherited
  // With any, the program's working directory holds its descriptors as magic links ("./7" is descriptor 7), it may have
  // as many descriptors as the host lets it, and root stays the user (Wall::unprivileged_user).
  std::vector<FenceDirectory> directories;
  SeccompFilter seccomp;             // what it may call, execve included: the filter is up before the exec
  uint64_t address_space = 0;        // bytes it may map altogether (part of Wall::limits); 0: no bound
  std::optional<CgroupSeat> cgroup;  // Wall::cgroup_caps; without one nothing is said of it
  std::vector<Wall> without;         // walls not to raise: for tests that look at one wall at a time
};

struct FencedChild {
  Child child;
  WallReports walls;  // one for every Wall that applies
};

// Returns when the program has been executed, or says why it could not be. The child is killed when the calling thread
// ends.
Result<FencedChild> start_fenced(const FencedCommand& command);

}  // namespace msb::fence
