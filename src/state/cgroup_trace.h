// The trace of a machine's control group: run/<hash>.cgroup, a symbolic link to its directory (fence/cgroup.h). It is
// there before the group is, and goes after it, so that whoever is killed leaves nothing that is not found again.
//
// Made and removed under the sandbox's lifecycle lock.
#pragma once

#include <string>

#include "state/home.h"

namespace msb::state {

inline constexpr std::string_view kCgroupSuffix = ".cgroup";

// Replaces one that is there.
Result<> leave_cgroup_trace(const Home& home, std::string_view name, const std::string& group);

// The group's directory; empty when there is no trace.
std::string traced_cgroup(const std::string& trace);

// Whether a process is in the group. False when there is no trace or no group.
bool cgroup_in_use(const std::string& trace);

// Removes the group, then its trace. Both stay while a process is in the group: the next sweep tries again.
void remove_cgroup(const std::string& trace);

}  // namespace msb::state
