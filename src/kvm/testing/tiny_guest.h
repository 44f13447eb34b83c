// A machine of a few instructions for tests: real memory, buses and processors of msb::kvm, but no kernel and no
// devices. Processor 0 begins in real mode at kCode; the others, when there are any, wait for its startup interrupt.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kvm/io_bus.h"
#include "kvm/memory.h"
#include "kvm/vcpu.h"

namespace msb::kvm::testing {

inline constexpr uint16_t kCode = 0x1000;

// For GTEST_SKIP: empty when this host has a /dev/kvm that may be opened.
std::string why_no_kvm();

class TinyGuest {
 public:
  static Result<std::unique_ptr<TinyGuest>> create(const Bytes& code, uint32_t vcpus = 1,
                                                   uint64_t memory = uint64_t{1} << 20);
  ~TinyGuest();

  // Where devices are added, before start().
  IoBus ports;
  IoBus windows;

  // Starts the processors' threads and waits until they rest.
  Result<> start();
  void resume();
  // Makes all processors rest and waits until they do.
  void pause();
  // Waits until a processor has ended, then stops all.
  VcpuEnd wait_for_end();
  void stop();

  Vcpu& vcpu(size_t index) { return *vcpus_.at(index); }
  const Vm& vm() const { return *vm_; }
  const GuestRam& ram() const { return *ram_; }
  // A 32-bit counter or flag of the guest's.
  uint32_t word(uint64_t address) const;

 private:
  TinyGuest() = default;
  void wait_until_resting();
  std::unique_ptr<GuestRam> ram_;
  std::unique_ptr<Vm> vm_;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t resting_ = 0;  // guarded by mutex_, as is this
  std::vector<VcpuEnd> ends_;
  std::vector<std::unique_ptr<Vcpu>> vcpus_;
};

}  // namespace msb::kvm::testing
