// Locks on disk images that QEMU, qemu-img and other sandboxes respect.
#pragma once

#include "base/result.h"
#include "qemu/command_line.h"

namespace msb::qemu {

// Takes QEMU's own byte-range locks on an open disk file: many readers, or one writer. The locks belong to the open
// file description, so they hold as long as anybody (QEMU, once it has inherited it) keeps it open. QEMU would take
// them itself, but reports a conflict only after it has started, and needs /dev/null for that.
// ErrorKind::invalid_config names the disk that is in use.
Result<> lock_disk(int fd, const std::string& path, DiskFile::Access access);

}  // namespace msb::qemu
