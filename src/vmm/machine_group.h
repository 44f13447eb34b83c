// MachineGroup: the control group of one sandbox's machine with its caps, or why it has none. Made before the machine,
// destroyed after it: then the group is removed, and so is its trace in $MSB_HOME (state/cgroup_trace.h).
#pragma once

#include <optional>

#include "fence/cgroup.h"
#include "fence/fence.h"
#include "state/home.h"
#include "state/launch_config.h"

namespace msb::vmm {

// The guest's memory, and for everything else that is charged to the group (the machine's own memory, the kernel's for
// it, the page cache of its disks, which gives way) this much more.
inline constexpr uint64_t kGroupAllowance = uint64_t{512} << 20;
// Threads: one for each virtual processor, and the machine's others, of which QEMU has the most (64 workers).
inline constexpr uint32_t kGroupThreads = 128;

class MachineGroup {
 public:
  MachineGroup(const state::Home& home, const state::LaunchConfig& config);
  ~MachineGroup();
  MachineGroup(const MachineGroup&) = delete;
  MachineGroup& operator=(const MachineGroup&) = delete;

  fence::CgroupSeat seat() const { return {group_ ? group_->fd() : -1, why_not_}; }

 private:
  std::string trace_;
  std::optional<fence::Cgroup> group_;
  std::string why_not_;
};

}  // namespace msb::vmm
