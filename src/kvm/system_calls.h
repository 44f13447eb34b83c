// The system calls that the process msb-kvm starts with. Each of its threads then gives up most of them (jail.h).
#pragma once

#include "fence/seccomp_filter.h"

namespace msb::kvm {

// execve is allowed, for the one exec that starts msb-kvm; the empty root holds nothing else to execute, and no thread
// keeps it.
enum class Shares { none, some };  // whether it serves directories of the host
fence::SeccompPolicy system_call_policy(Shares shares);

}  // namespace msb::kvm
