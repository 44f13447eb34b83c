// Direct I/O: writing to a file past the host's page cache.
//
// A guest's long writes are its own page cache's write-back: the host would copy each byte into a second cache, keep it
// twice in memory, and write it from there when the guest flushes. What is short, such as a journal's commit, is better
// gathered in the cache. The kernel keeps reads and writes through the cache, on another descriptor, in step with it.
#pragma once

#include <cstdint>

#include "base/fd.h"
#include "disk/buffers.h"

namespace msb::disk {

// Opens the same file once more, for writes past the page cache. Invalid where it cannot be, or should not: only ext4
// and XFS are trusted with it. File systems with checksums (btrfs, ZFS) would find them wrong where a guest changes a
// page while it is being written.
Fd open_direct(int fd);

// Whether a write is long, and aligned as every file system takes it.
bool suits_direct_write(uint64_t offset, Buffers in);

}  // namespace msb::disk
