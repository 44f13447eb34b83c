// UsageRecord: what the files of a volume come to, in a small file that all sandboxes that have the volume map.
// docs/format/volume.md describes it.
//
// Two locks lie on it, as byte ranges that belong to the open file (F_OFD_SETLK): byte kTurnByte is held while a change
// is made and counted, byte kUserByte is shared by everybody who has the volume.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace msb::fs {

// Each file, directory or symlink: for its name, its attributes and its place on the host's disk.
inline constexpr uint64_t kInodeWeight = 4096;
inline constexpr off_t kTurnByte = 0;
inline constexpr off_t kUserByte = 1;

struct UsageRecord {
  static constexpr uint64_t kMagic = 0x6567617375'62736d;  // "msbusage"
  uint64_t magic = kMagic;
  int64_t used = 0;      // bytes
  int64_t nameless = 0;  // of those, in files without a name
  uint64_t in_turn = 0;  // not 0: a change was begun
};
static_assert(sizeof(UsageRecord) == 32);

// What one file comes to.
uint64_t weight_of(const struct stat& status);

// What is below the directory comes to, without itself. No symlink is followed; other file systems mounted below it
// count. Failures: io.
Result<uint64_t> count_usage(const std::string& directory);

// Opens the record, made when it is missing, and enters as one of its users until the descriptor is closed. Whoever is
// alone brings it in order first: a new or damaged one, and one whose last users died in the middle of a change, is
// counted from the directory. Failures: io.
Result<Fd> open_usage_record(const std::string& record, const std::string& directory);

struct Usage {
  uint64_t bytes = 0;
  bool in_use = false;  // by a sandbox, at this moment
};
// For people to see: counted from the directory when nobody uses it, else what the record says.
Result<Usage> look_at_usage(const std::string& record, const std::string& directory);

}  // namespace msb::fs
