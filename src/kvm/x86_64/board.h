// Board: the parts of a PC that KVM itself plays, set up as a guest finds them: interrupt controllers (no PIT: guests
// use their local timers), and processors with their features and first registers.
//
//   MSB_TRY(Board board, Board::create(kvm, vcpus));
//   MSB_CHECK(board.set_up(vm));                            // before memory and processors
//   MSB_CHECK(board.set_up(vcpu, index, entry));            // each processor
#pragma once

#include <linux/kvm.h>

#include <vector>

#include "kvm/kvm_api.h"
#include "kvm/x86_64/cpuid.h"

namespace msb::kvm {

class Board {
 public:
  static Result<Board> create(const Kvm& kvm, uint32_t vcpus);

  // How many bits a guest's physical address has.
  uint32_t address_bits() const { return physical_address_bits(cpuid_); }
  Result<> set_up(const Vm& vm);
  // Processor 0 begins at `entry`; the others wait in the kernel until it starts them.
  Result<> set_up(const VcpuFd& vcpu, uint32_t index, uint64_t entry) const;

 private:
  Board(std::vector<kvm_cpuid_entry2> cpuid, uint32_t vcpus) : cpuid_(std::move(cpuid)), topology_{vcpus, false} {}
  std::vector<kvm_cpuid_entry2> cpuid_;
  CpuTopology topology_;
};

}  // namespace msb::kvm
