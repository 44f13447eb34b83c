#include "kvm/x86_64/vcpu_state.h"

namespace msb::kvm {
namespace {

constexpr uint32_t kMiscEnable = 0x1a0, kMtrrDefaultType = 0x2ff;
constexpr uint64_t kFastStrings = 0x1;        // without it Linux on Intel copies byte by byte
constexpr uint64_t kMtrrOnWriteBack = 0x806;  // on, all memory write-back, as firmware leaves it

std::string hex(uint64_t value, int digits = 16) {
  std::string text(static_cast<size_t>(digits), '0');
  for (int at = digits - 1; at >= 0; --at, value >>= 4) text[static_cast<size_t>(at)] = "0123456789abcdef"[value & 15];
  return text;
}

std::string format_segment(std::string_view name, const kvm_segment& segment) {
  return cat(name, " ", hex(segment.selector, 4), " base ", hex(segment.base), " limit ", hex(segment.limit, 8),
             " type ", hex(segment.type, 1), " dpl ", segment.dpl,
             segment.l    ? " 64"
             : segment.db ? " 32"
                          : " 16",
             "\n");
}

}  // namespace

Result<VcpuState> read_state(const VcpuFd& vcpu, const std::vector<uint32_t>& msrs, size_t xsave_size) {
  VcpuState state;
  // The first may change what the others say (KVM API, 4.38).
  MSB_CHECK(vcpu.get(KVM_GET_MP_STATE, state.mp_state, "read whether a processor runs"));
  MSB_CHECK(vcpu.get(KVM_GET_REGS, state.regs, "read a processor's registers"));
  MSB_CHECK(vcpu.get(KVM_GET_SREGS, state.sregs, "read a processor's special registers"));
  state.xsave.resize(std::max(xsave_size, sizeof(XsaveArea)));
  MSB_CHECK(vcpu.get(xsave_size > sizeof(XsaveArea) ? kGetXsave2 : kGetXsave, state.xsave[0],
                     "read a processor's vector registers"));
  MSB_CHECK(vcpu.get(KVM_GET_XCRS, state.xcrs, "read a processor's extended control registers"));
  MSB_CHECK(vcpu.get(KVM_GET_DEBUGREGS, state.debugregs, "read a processor's debug registers"));
  MSB_CHECK(vcpu.get(KVM_GET_LAPIC, state.lapic, "read a processor's interrupt controller"));
  for (uint32_t index : msrs) state.msrs.push_back({index, 0, 0});
  MSB_CHECK(vcpu.get_msrs(state.msrs));
  MSB_CHECK(vcpu.get(KVM_GET_VCPU_EVENTS, state.events, "read a processor's pending events"));
  return state;
}

Result<> write_state(const VcpuFd& vcpu, const VcpuState& state) {
  if (state.xsave.size() < sizeof(XsaveArea))
    return fail(ErrorKind::corrupt, "a saved processor has too few vector registers");
  MSB_CHECK(vcpu.set(KVM_SET_MP_STATE, state.mp_state, "set whether a processor runs"));
  MSB_CHECK(vcpu.set(KVM_SET_REGS, state.regs, "set a processor's registers"));
  MSB_CHECK(vcpu.set(KVM_SET_SREGS, state.sregs, "set a processor's special registers"));
  MSB_CHECK(vcpu.set(kSetXsave, state.xsave[0], "set a processor's vector registers"));
  MSB_CHECK(vcpu.set(KVM_SET_XCRS, state.xcrs, "set a processor's extended control registers"));
  MSB_CHECK(vcpu.set(KVM_SET_DEBUGREGS, state.debugregs, "set a processor's debug registers"));
  MSB_CHECK(vcpu.set(KVM_SET_LAPIC, state.lapic, "set a processor's interrupt controller"));
  MSB_CHECK(vcpu.set_msrs(state.msrs));
  MSB_CHECK(vcpu.set(KVM_SET_VCPU_EVENTS, state.events, "set a processor's pending events"));
  return {};
}

std::vector<kvm_msr_entry> boot_msrs() {
  return {{kMiscEnable, 0, kFastStrings}, {kMtrrDefaultType, 0, kMtrrOnWriteBack}};
}

std::string describe_registers(const VcpuFd& vcpu) {
  kvm_regs regs{};
  kvm_sregs sregs{};
  if (!vcpu.get(KVM_GET_REGS, regs, "read registers") || !vcpu.get(KVM_GET_SREGS, sregs, "read special registers"))
    return {};
  std::string text;
  const std::pair<std::string_view, uint64_t> general[] = {
      {"rip", regs.rip},  {"rfl", regs.rflags}, {"rax", regs.rax},   {"rbx", regs.rbx},  {"rcx", regs.rcx},
      {"rdx", regs.rdx},  {"rsi", regs.rsi},    {"rdi", regs.rdi},   {"rsp", regs.rsp},  {"rbp", regs.rbp},
      {"r8 ", regs.r8},   {"r9 ", regs.r9},     {"r10", regs.r10},   {"r11", regs.r11},  {"r12", regs.r12},
      {"r13", regs.r13},  {"r14", regs.r14},    {"r15", regs.r15},   {"cr0", sregs.cr0}, {"cr2", sregs.cr2},
      {"cr3", sregs.cr3}, {"cr4", sregs.cr4},   {"efer", sregs.efer}};
  int column = 0;
  for (const auto& [name, value] : general) text += cat(name, " ", hex(value), ++column % 4 == 0 ? "\n" : "  ");
  text += "\n";
  text += format_segment("cs", sregs.cs) + format_segment("ss", sregs.ss) + format_segment("ds", sregs.ds) +
          format_segment("tr", sregs.tr);
  text += cat("gdt ", hex(sregs.gdt.base), " limit ", hex(sregs.gdt.limit, 4), "  idt ", hex(sregs.idt.base), " limit ",
              hex(sregs.idt.limit, 4), "\n");
  return text;
}

}  // namespace msb::kvm
