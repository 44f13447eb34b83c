#include "vmm/machine_group.h"

#include "state/cgroup_trace.h"

namespace msb::vmm {

MachineGroup::MachineGroup(const state::Home& home, const state::LaunchConfig& config)
    : trace_(home.cgroup_trace(config.name)) {
  fence::CgroupCaps caps{(uint64_t{config.machine.memory_mib} << 20) + kGroupAllowance,
                         config.machine.vcpus + kGroupThreads};
  auto own = fence::own_cgroup();
  auto made = !own ? Result<fence::Cgroup>(fail(std::move(own).error()))
                   : fence::Cgroup::create(*own, cat("msb-", config.id), caps, [&](const std::string& path) {
                       return state::leave_cgroup_trace(home, config.name, path);
                     });
  if (made) {
    group_.emplace(std::move(*made));
  } else {
    why_not_ = made.error().message();
    state::remove_cgroup(trace_);
  }
}

MachineGroup::~MachineGroup() {
  group_.reset();
  state::remove_cgroup(trace_);
}

}  // namespace msb::vmm
