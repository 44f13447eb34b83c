// VcpuState: all of a virtual processor that the guest can tell, as plain data, to be changed, saved and restored.
//
// Read and written only while the processor's thread is not in KVM_RUN and its last port or memory access is complete
// (Vcpu sees to that).
#pragma once

#include <linux/kvm.h>

#include <string>
#include <vector>

#include "base/bytes.h"
#include "kvm/kvm_api.h"

namespace msb::kvm {

struct VcpuState {
  kvm_mp_state mp_state{};
  kvm_regs regs{};
  kvm_sregs sregs{};
  Bytes xsave;  // XsaveArea, of the size that KVM_CAP_XSAVE2 gives: FPU, SSE, AVX ...
  kvm_xcrs xcrs{};
  kvm_debugregs debugregs{};
  kvm_lapic_state lapic{};
  std::vector<kvm_msr_entry> msrs;
  kvm_vcpu_events events{};
};

// `msrs` as Kvm::msr_indices() gives them; `xsave_size` as Vm::check_extension(KVM_CAP_XSAVE2) does.
Result<VcpuState> read_state(const VcpuFd& vcpu, const std::vector<uint32_t>& msrs, size_t xsave_size);
Result<> write_state(const VcpuFd& vcpu, const VcpuState& state);

// Registers that the machine sets once, before the first instruction.
std::vector<kvm_msr_entry> boot_msrs();

// For reports: a few lines of text; empty when they cannot be read.
std::string describe_registers(const VcpuFd& vcpu);

}  // namespace msb::kvm
