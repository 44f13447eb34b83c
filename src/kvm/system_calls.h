// The system calls that the process msb-kvm starts with. Each of its threads then gives up most of them (jail.h).
#pragma once

#include "fence/seccomp_filter.h"

namespace msb::kvm {

// execve is allowed, for the one exec that starts msb-kvm; the empty root holds nothing else to execute, and no thread
// keeps it.
fence::SeccompPolicy system_call_policy();

}  // namespace msb::kvm
