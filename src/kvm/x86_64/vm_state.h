// VmState: what KVM keeps for the machine as a whole and the guest can tell, as plain data, to be saved and restored.
// Its processors' (and their local interrupt controllers') is VcpuState; a PIT there is none.
//
// Read and written only while no processor is in KVM_RUN. Interrupt lines are restored before processors run, the clock
// last: from then on it runs.
#pragma once

#include <linux/kvm.h>

#include "kvm/kvm_api.h"

namespace msb::kvm {

struct VmState {
  kvm_pic_state first_pic{};
  kvm_pic_state second_pic{};
  kvm_ioapic_state io_apic{};
  uint64_t clock_nanos = 0;  // what kvmclock shows
};

Result<VmState> read_state(const Vm& vm);
Result<> write_state(const Vm& vm, const VmState& state);

}  // namespace msb::kvm
