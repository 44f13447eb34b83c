// The portable machine (a QEMU child, src/qemu) as a Machine.
#pragma once

#include "vmm/machine.h"
#include "vmm/machine_group.h"
#include "vmm/network.h"

namespace msb::vmm {

Result<std::unique_ptr<Machine>> build_portable_machine(Reactor& reactor, const state::LaunchConfig& config,
                                                        std::unique_ptr<MachineGroup> group,
                                                        std::unique_ptr<Network> network, ExitHandler on_exit);

}  // namespace msb::vmm
