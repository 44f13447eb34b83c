#include "kvm/x86_64/vm_state.h"

namespace msb::kvm {
namespace {

Result<kvm_irqchip> read_chip(const Vm& vm, uint32_t id) {
  kvm_irqchip chip{};
  chip.chip_id = id;
  MSB_CHECK(vm.get(KVM_GET_IRQCHIP, chip, "read an interrupt controller"));
  return chip;
}

}  // namespace

Result<VmState> read_state(const Vm& vm) {
  VmState state;
  MSB_TRY(kvm_irqchip first, read_chip(vm, KVM_IRQCHIP_PIC_MASTER));
  MSB_TRY(kvm_irqchip second, read_chip(vm, KVM_IRQCHIP_PIC_SLAVE));
  MSB_TRY(kvm_irqchip io_apic, read_chip(vm, KVM_IRQCHIP_IOAPIC));
  state.first_pic = first.chip.pic;
  state.second_pic = second.chip.pic;
  state.io_apic = io_apic.chip.ioapic;
  kvm_clock_data clock{};
  MSB_CHECK(vm.get(KVM_GET_CLOCK, clock, "read the machine's clock"));
  state.clock_nanos = clock.clock;
  return state;
}

Result<> write_state(const Vm& vm, const VmState& state) {
  kvm_irqchip chip{};
  chip.chip_id = KVM_IRQCHIP_PIC_MASTER;
  chip.chip.pic = state.first_pic;
  MSB_CHECK(vm.set(KVM_SET_IRQCHIP, chip, "set the first interrupt controller"));
  chip.chip_id = KVM_IRQCHIP_PIC_SLAVE;
  chip.chip.pic = state.second_pic;
  MSB_CHECK(vm.set(KVM_SET_IRQCHIP, chip, "set the second interrupt controller"));
  chip.chip_id = KVM_IRQCHIP_IOAPIC;
  chip.chip.ioapic = state.io_apic;
  MSB_CHECK(vm.set(KVM_SET_IRQCHIP, chip, "set the I/O interrupt controller"));
  kvm_clock_data clock{};
  clock.clock = state.clock_nanos;
  return vm.set(KVM_SET_CLOCK, clock, "set the machine's clock");
}

}  // namespace msb::kvm
