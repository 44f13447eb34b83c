// Can this host run KVM machines, and if not, why?
//
//   Verdict verdict = probe({.cache_file = home.kvm_probe()});
//   if (!verdict.works()) return fail(verdict.to_error());
//
// The answer comes from a virtual machine that really ran (probe_machine.h). It is remembered for this boot of the host
// and this device, unless it is `broken`; whether /dev/kvm may be opened is asked anew each time. Takes some
// milliseconds the first time, then some microseconds; on a broken KVM some seconds at most.
#pragma once

#include <string>

#include "base/result.h"

namespace msb::kvm {

struct Verdict {
  enum class State {
    works,
    missing,        // no /dev/kvm, or no driver behind it
    no_permission,  // it is there, for others
    too_old,        // a kernel without something we need
    no_hardware,    // KVM without hardware virtualisation: an emulation, far slower than the portable machine
    broken,         // it cannot be opened for another reason, or the probe machine did not run as it must
  };
  State state = State::missing;
  std::string detail;  // one sentence; for `works` what was found
  std::string advice;  // what to do, with the command to run; may be empty
  bool works() const { return state == State::works; }
  // For one who must have KVM. ErrorKind::unsupported.
  Error to_error() const;
};

// "works", "no-permission" ...: stable names.
std::string_view state_name(Verdict::State state);

struct ProbeOptions {
  std::string cache_file = {};  // empty: nothing is remembered
  std::string device = "/dev/kvm";
  std::string cpuinfo = "/proc/cpuinfo";
  std::string boot_id = "/proc/sys/kernel/random/boot_id";
};

Verdict probe(const ProbeOptions& options);

// The steps. For tests. ErrorKind::unsupported: too old.
Result<> check_kvm_interface(int kvm);
// From the text of /proc/cpuinfo: "svm", "vmx" or "".
std::string virtualisation_flag(std::string_view cpuinfo);

}  // namespace msb::kvm
