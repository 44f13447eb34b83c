// The system calls that QEMU runs with.
#pragma once

#include "fence/seccomp_filter.h"

namespace msb::qemu {

enum class GuestMemoryKind {
  own,
  shared,  // a memory file, which the back end of a device maps too
};

// execve is allowed, for the one exec that starts QEMU: QEMU's own "-sandbox spawn=deny" takes it away, and the empty
// root holds nothing else to execute.
fence::SeccompPolicy system_call_policy(GuestMemoryKind memory = GuestMemoryKind::own);

}  // namespace msb::qemu
