// What the rest of src/kvm takes from the processor architecture's folder, and the one place that picks it. There is no
// indirection: a new architecture is a folder with these headers, which declare the same names.
//
//   layout.h       kDeviceWindows, kFirstDeviceIrq, kLastDeviceIrq: where devices are
//   board.h        Board: interrupt controllers and processors as they are before the first instruction
//   boot.h         load_guest(): kernel, initramfs and command line into guest memory
//   vcpu_state.h   VcpuState: one processor's state to save and restore; describe_registers() for reports
//   vm_state.h     VmState: the same for what KVM keeps for the whole machine
//
// Devices, memory, threads and the jail are the same everywhere. CMakeLists.txt picks the folder's sources.
#pragma once

#if defined(__x86_64__)
#include "kvm/x86_64/board.h"
#include "kvm/x86_64/boot.h"
#include "kvm/x86_64/layout.h"
#include "kvm/x86_64/vcpu_state.h"
#include "kvm/x86_64/vm_state.h"
#else
#error "the kvm machine has no folder for this architecture yet: see src/kvm/arch.h"
#endif
