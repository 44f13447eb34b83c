// Starting a sandbox process and hearing how it went.
#pragma once

#include <functional>

#include <microsandbox/sandbox.h>

#include "base/child.h"
#include "base/deadline.h"
#include "base/file_lock.h"
#include "state/launch_config.h"

namespace msb {

struct RunningProcess {
  pid_t pid = -1;
  Fd pidfd;
  // Attached: closing it ends the sandbox, writing the byte 1 first lets it live on.
  Fd parent_watch;
  state::StartupReport report;
};

// Runs `msb sandbox`, which takes over the lock, and waits until the guest is ready. `log` gets what the process
// says (created). `on_spawn` is told the process id at once. When this fails, the process is gone.
// ErrorKind::boot_start with BootFailure, or ErrorKind::runtime when the process died without a word.
Result<RunningProcess> launch(const state::LaunchConfig& config, const FileLock& lock, const std::string& log,
                              const std::function<void(pid_t)>& on_spawn);

// SIGKILL, then waits for the end: of the sandbox process and of its machine, which dies with it a moment later and has
// disks locked until then.
Result<> kill_process(int pidfd, const Deadline& deadline);

}  // namespace msb
