// Locks on disk images that QEMU, qemu-img and other sandboxes respect.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "disk/block_device.h"

namespace msb::disk {

// Takes QEMU's own byte-range locks on an open disk file: many readers, or one writer. The locks belong to the open
// file description, so they hold as long as anybody (QEMU, once it has inherited it) keeps it open. QEMU would take
// them itself, but reports a conflict only after it has started, and needs /dev/null for that.
// ErrorKind::invalid_config names the disk that is in use.
Result<> lock_disk(int fd, const std::string& path, Access access);

// Opens a disk file as a machine is given it: with these locks.
Result<Fd> open_disk(const std::string& path, Access access);

}  // namespace msb::disk
