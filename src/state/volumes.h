// Volumes on disk: $MSB_HOME/volumes/NAME. docs/format/volume.md describes the files.
//
// A volume appears and goes by rename. Who adds a sandbox that names a volume, and who removes a volume, does it inside
// a write transaction of the database, so that none is removed under a sandbox that is just being made.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "state/home.h"

namespace msb::state {

struct VolumeRecord {
  enum class Kind { directory, disk };
  Kind kind = Kind::directory;
  uint32_t size_mib = 0;   // disk
  uint32_t quota_mib = 0;  // directory; 0: none
  std::map<std::string, std::string> labels = {};
  int64_t created_at_ms = 0;  // Unix time
};

// Nullopt when there is none. Failures: io, corrupt.
Result<std::optional<VolumeRecord>> find_volume(const Home& home, const std::string& name);
// The names of all, sorted.
std::vector<std::string> volume_names(const Home& home);

// Makes a volume: `fill` gets its directory, in which volume.json and (for directories) data/ are there already. False
// when there is one of that name, which stays as it is. What a kill leaves half made is swept.
Result<bool> make_volume(const Home& home, const std::string& name, const VolumeRecord& record,
                         const std::function<Result<>(const std::string& directory)>& fill);

}  // namespace msb::state
