// The seccomp allow-list that QEMU runs under, as a BPF program made before the fork, so that the child only loads it.
#pragma once

#include <linux/filter.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace msb::qemu {

// Two programs, both loaded; the kernel takes the stricter verdict. execve is allowed, for the one exec that starts
// QEMU: QEMU's own "-sandbox spawn=deny" takes it away, and the empty root holds nothing else to execute.
struct SeccompFilter {
  std::vector<sock_filter> calls;      // a call that is not on the list kills the process
  std::vector<sock_filter> arguments;  // arguments that are not on the list get EPERM: libraries try harmless ones
};

Result<SeccompFilter> build_seccomp_filter();

// What the filter lets through, in the order of the table (for tests and documentation).
std::vector<std::string> allowed_system_calls();

}  // namespace msb::qemu
