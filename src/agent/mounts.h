// Mounts: the file systems every guest has.
#pragma once

#include <sys/mount.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "wire/messages.h"

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
// A disk, whose file system may be unstated: then every type that works on devices is tried.
Result<> mount_disk(const std::string& device, const char* target, const std::string& fstype, unsigned long flags);
// The mounts that the user has asked for, in order. Errors name the target.
Result<> mount_extra(const std::vector<wire::MountSpec>& mounts);
// Takes them away again, the last first, so that disks are clean and shares have all that was written. No process may
// be running any more.
void unmount_extra(const std::vector<wire::MountSpec>& mounts);
// What few processes need: cgroup2, POSIX message queues. Missing kernel support is no error.
void mount_late();

}  // namespace msb::agent
