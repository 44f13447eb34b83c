// Mounts: the file systems every guest has.
#pragma once

#include <sys/mount.h>

#include <string>

#include "base/result.h"

namespace msb::agent {

struct Mount {
  const char* source;
  const char* target;
  const char* type;
  unsigned long flags = 0;
  const char* data = nullptr;
};

// mkdir -p, also below directories that cannot be written when everything is there.
Result<> make_directories(const std::string& path, unsigned mode = 0755);

// Mounts, creating the target when it is missing.
Result<> mount_one(const Mount& mount);

// /dev, /proc, /sys in the initramfs. Needs nothing from the host.
Result<> mount_early();
// Moves what mount_early() mounted below `root`.
Result<> move_early(const std::string& root);
// What processes need, inside the final root: terminals, shared memory, /tmp of `tmp_bytes` (0: the root's own).
Result<> mount_base(uint64_t tmp_bytes);
// What few processes need: cgroup2, POSIX message queues. Missing kernel support is no error.
void mount_late();

}  // namespace msb::agent
