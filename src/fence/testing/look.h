// Runs testing/fence_probe.cc inside a fence: each wall is looked at from inside.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "fence/fence.h"

namespace msb::fence::testing {

struct Look {
  std::vector<std::string> attempts;
  SeccompFilter seccomp;
  std::vector<Wall> without;
  std::vector<FenceFile> more_files;
  std::optional<CgroupSeat> cgroup = {};
  std::vector<FenceDirectory> directories = {};
};

struct Seen {
  std::map<std::string, std::string> results;  // attempt -> what came of it
  ExitStatus status;
  WallReports walls;
};

// The probe's own path.
const std::string& probe();

Result<Seen> look(const Look& options);

}  // namespace msb::fence::testing
