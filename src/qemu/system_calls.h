// The system calls that QEMU runs with.
#pragma once

#include "fence/seccomp_filter.h"

namespace msb::qemu {

// execve is allowed, for the one exec that starts QEMU: QEMU's own "-sandbox spawn=deny" takes it away, and the empty
// root holds nothing else to execute.
fence::SeccompPolicy system_call_policy();

}  // namespace msb::qemu
