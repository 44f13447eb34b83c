// KvmGuest: carries out a scenario by the test kernel on this host's /dev/kvm, with the bed's memory and devices,
// kicks by ioeventfd and interrupts by irqfd as in msb-kvm.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

#include "hostile_bed.h"
#include "kvm/vcpu.h"

namespace msb::hostile {

class KvmGuest {
 public:
  // `kernel`: path of the test kernel.
  static Result<std::unique_ptr<KvmGuest>> create(HostileBed& bed, const std::string& kernel);
  // Runs it to its end.
  Result<kvm::VcpuEnd> run();

 private:
  KvmGuest(kvm::Vm vm) : vm_(std::move(vm)) {}
  kvm::Vm vm_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool rested_ = false;  // guarded by mutex_, as is this
  std::optional<kvm::VcpuEnd> end_;
  std::unique_ptr<kvm::Vcpu> vcpu_;  // last: its thread uses the others
};

}  // namespace msb::hostile
