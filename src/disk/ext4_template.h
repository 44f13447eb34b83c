// The writable layer of a sandbox: an empty ext4 file system on a sparse file.
//
// Making a file system takes mke2fs some tens of milliseconds, which has no place on the start path. So
// one empty template per size is kept and every sandbox gets a clone of it (about a millisecond: a reflink, or
// a copy of the few hundred KiB of metadata). Clones share the file system's UUID; nothing mounts by UUID.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "disk/sparse_copy.h"

namespace msb::disk {

inline constexpr uint64_t kMinUpperMib = 16;                  // smaller ones have no room for a journal
inline constexpr uint64_t kMaxUpperMib = uint64_t{16} << 20;  // 16 TiB, the limit of 4 KiB blocks without 64bit

// Creates `path`, replacing a file of that name: an empty ext4 file system of `size_mib`. Its template is made on
// first use in `template_dir` (created when missing; safe for any number of processes at once).
// Failures: invalid_config (size), unsupported (no mke2fs on this host), io.
Result<> make_upper_disk(const std::string& path, uint64_t size_mib, const std::string& template_dir,
                         CloneBy by = CloneBy::any);

}  // namespace msb::disk
