// The kvm machine (a fenced msb-kvm, src/kvm) as a Machine.
#pragma once

#include "vmm/machine.h"
#include "vmm/machine_group.h"
#include "vmm/network.h"

namespace msb::vmm {

// `program` is the path of msb-kvm.
Result<std::unique_ptr<Machine>> build_kvm_machine(Reactor& reactor, const state::LaunchConfig& config,
                                                   const std::string& program, std::unique_ptr<MachineGroup> group,
                                                   std::unique_ptr<Network> network, ExitHandler on_exit);

}  // namespace msb::vmm
