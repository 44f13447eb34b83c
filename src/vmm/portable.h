// The portable machine (a QEMU child, src/qemu) as a Machine.
#pragma once

#include "vmm/machine.h"

namespace msb::vmm {

Result<std::unique_ptr<Machine>> build_portable_machine(Reactor& reactor, const state::LaunchConfig& config,
                                                        ExitHandler on_exit);

}  // namespace msb::vmm
