// What happens between clone and exec. The parent may have threads, so the child must not allocate, lock or throw: it
// reads the script below, made by the parent, and makes system calls. Private to fence.cc.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "fence/seccomp_filter.h"
#include "fence/walls.h"

namespace msb::fence {

// Where in raising a wall the child was, for the reason in the report.
enum class FenceStep : int32_t {
  none,
  private_mounts,
  mount_root,
  make_directory,
  make_file,
  bind_file,
  change_root,
  seal_root,
  drop_bounding_set,
  drop_capabilities,
  set_user,
  no_new_privileges,
  set_limit,
  landlock_create,
  landlock_rule,
  landlock_restrict,
  seccomp_load,
  descriptors,
  execute,
  detach_directory,
  same_directory,
  seal_directory,
  open_directory,
  enter_descriptors,
  keep_capabilities,
  landlock_moves,
};

// How far a wall got: `step` is FenceStep::none when it stands.
struct FenceOutcome {
  FenceStep step = FenceStep::none;
  int error = 0;
  int detail = -1;
};

// One message of the child to its parent, over a pipe.
struct FenceMessage {
  enum Kind : int32_t { wall_up, wall_down, fatal };
  Kind kind;
  int32_t wall;  // Wall
  FenceStep step;
  int32_t error;   // errno
  int32_t detail;  // index into files, then directories, when the step is about one of them; else -1
};

// What the parent tells the child once it has written the id maps.
enum class FenceGo : char {
  as_is = 'a',         // keep the user
  unprivileged = 'u',  // become FenceScript::outer_id when the root is empty
  file_owner = 'f',    // keep the user, and what root can do to files of others: FenceScript::directories are root's
};

struct FenceScript {
  struct File {
    const char* path;
    bool execute;
  };
  struct Directory {
    const char* path;
    int ours;
    int fd;
    bool modify;
  };
  std::vector<const char*> parents;  // every parent directory of a file, outermost first
  std::vector<File> files;
  std::vector<Directory> directories;
  std::vector<char*> argv;
  std::vector<char*> env;
  std::vector<std::pair<int, int>> fds;
  std::vector<int> scratch;  // as long as fds
  SeccompFilter seccomp;
  std::string tmpfs_options;
  uint64_t clone_flags = 0;
  uint32_t without = 0;  // bit per Wall
  uint32_t outer_id = 0;
  uint64_t address_space = 0;  // 0: no bound
  int go_pipe = -1;            // read one FenceGo
  int report_pipe = -1;        // write FenceMessages; closed by exec
  int parent_pidfd = -1;
  int descriptors = -1;  // of /proc/self/fd, made by the child; where there are directories
};

[[noreturn]] void run_fence_child(const FenceScript& script);

}  // namespace msb::fence
