// What CPUID says in a guest: KVM's own offer, with the topology of this guest written in and without what a guest here
// shall not have.
//
// One package with one core per virtual processor; the APIC id is the processor's number. Taken out: nested
// virtualisation, performance counters, SGX, processor trace, encrypted memory: none of it is used, all of it is code
// in the host's kernel that a guest could reach. Added: the TSC deadline timer, when KVM has it.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <vector>

namespace msb::kvm {

struct CpuTopology {
  uint32_t vcpus = 1;
  bool tsc_deadline_timer = false;
};

// `supported` as Kvm::supported_cpuid() gives it.
std::vector<kvm_cpuid_entry2> guest_cpuid(const std::vector<kvm_cpuid_entry2>& supported, const CpuTopology& topology,
                                          uint32_t vcpu);

// How many bits a physical address has, 36 when the table does not say.
uint32_t physical_address_bits(const std::vector<kvm_cpuid_entry2>& supported);

}  // namespace msb::kvm
