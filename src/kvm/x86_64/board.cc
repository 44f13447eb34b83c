#include "kvm/x86_64/board.h"

#include "kvm/x86_64/boot.h"
#include "kvm/x86_64/layout.h"
#include "kvm/x86_64/vcpu_state.h"

namespace msb::kvm {

Result<Board> Board::create(const Kvm& kvm, uint32_t vcpus) {
  MSB_TRY(auto cpuid, kvm.supported_cpuid());
  return Board(std::move(cpuid), vcpus);
}

Result<> Board::set_up(const Vm& vm) {
  topology_.tsc_deadline_timer = vm.check_extension(KVM_CAP_TSC_DEADLINE_TIMER) > 0;
  MSB_CHECK(vm.set_identity_map_address(kIdentityMap));
  MSB_CHECK(vm.set_tss_address(kTaskState));
  // No counters for guests: CPUID does not offer them, and KVM need not even look.
  if (vm.check_extension(KVM_CAP_PMU_CAPABILITY) & KVM_PMU_CAP_DISABLE)
    MSB_CHECK(vm.enable_capability(KVM_CAP_PMU_CAPABILITY, KVM_PMU_CAP_DISABLE));
  return vm.create_irqchip();
}

Result<> Board::set_up(const VcpuFd& vcpu, uint32_t index, uint64_t entry) const {
  MSB_CHECK(vcpu.set_cpuid(guest_cpuid(cpuid_, topology_, index)));
  MSB_CHECK(vcpu.set_msrs(boot_msrs()));
  if (index != 0) return {};
  kvm_regs regs{};
  kvm_sregs special{};
  MSB_CHECK(vcpu.get(KVM_GET_SREGS, special, "read a processor's special registers"));
  set_pvh_entry(entry, regs, special);
  MSB_CHECK(vcpu.set(KVM_SET_SREGS, special, "set a processor's special registers"));
  return vcpu.set(KVM_SET_REGS, regs, "set a processor's registers");
}

}  // namespace msb::kvm
