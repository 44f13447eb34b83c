// Snapshot archives: a tar, usually compressed with zstd, that `msb snapshot save` writes and `load` reads.
// docs/format/snapshot.md describes it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "state/home.h"
#include "state/snapshots.h"

namespace msb {

enum class ArchiveCompression { none, zstd };

// The entries beside the descriptions and the files they name.
inline constexpr std::string_view kArchivedDigests = "digests.json";
inline constexpr std::string_view kArchivedImagePrefix = "image-", kArchivedImageSuffix = ".tar";
// A snapshot and its parents; to read each costs a look at all of its disks.
inline constexpr size_t kMaxArchivedSnapshots = 64;

// Writes the snapshots, in this order, and the images they name when there are some (files named as in the archive).
// Failures: unsupported (too many), io.
Result<> write_snapshot_archive(int fd, const std::vector<state::Snapshot>& snapshots,
                                const std::vector<std::string>& image_archives, ArchiveCompression compression);

// Reads one into the home. Nothing is entered unless all of it is good. Returns the names of the new ones in the
// archive's order. Failures: corrupt, snapshot_already_exists, snapshot_integrity, io.
Result<std::vector<std::string>> read_snapshot_archive(int fd, const state::Home& home);

}  // namespace msb
