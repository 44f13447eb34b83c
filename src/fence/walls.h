// The walls of the fence round a program, each either up or down with the reason. A value, shown by `inspect` and
// `doctor`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace msb::fence {

enum class Wall {
  user_namespace,     // its capabilities, had it any, would mean nothing to the host
  pid_namespace,      // it can neither see nor signal a process of the host
  network_namespace,  // no interface, not even loopback
  ipc_namespace,      // no System V shared memory or message queue of the host
  uts_namespace,      // cannot learn or change the host's name
  cgroup_namespace,   // cannot see where the host put it
  empty_root,         // a read-only root with nothing but the files it was named; no /proc, no /sys, no /dev
  no_capabilities,    // all sets empty, and no way to gain any
  no_new_privileges,  // set-uid programs give nothing
  limits,             // no core dumps, few descriptors, no locked memory
  landlock,           // the kernel checks every open against the same list of files, also where the root is not empty
  seccomp,            // the system calls it needs, all others kill it
  unprivileged_user,  // root only: it runs as a user of the host that owns nothing
  share_mounts,  // directories it works in: each a mount of its own, without a way up; read-only where it may only read
  cgroup_caps,   // the host's kernel bounds its memory and its threads, where control groups are delegated
};

// "user-namespace", "empty-root", ...: stable names for JSON.
std::string_view wall_name(Wall wall);

struct WallReport {
  Wall wall;
  bool up = false;
  std::string reason;  // why it is down; empty when up
};

using WallReports = std::vector<WallReport>;

}  // namespace msb::fence
