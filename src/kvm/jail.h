// The inner wall: each thread of msb-kvm keeps only the system calls of its role, and any other kills the process.
//
//   MSB_CHECK(enter_jail(ThreadRole::vcpu));   // first thing in a thread, after what must be opened is open
//
// A role cannot be left. Threads must exist before the thread that creates them enters its own role: no role can start
// one. No role can create a descriptor other than an event or a timer, name a file, a process or an address, or make
// memory executable. The fence round the process (fence/fence.h) stands outside of this.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "base/result.h"

namespace msb::kvm {

enum class ThreadRole {
  device,  // the main thread: the reactor, sockets, entropy, balloon
  vcpu,    // KVM_RUN and reading registers; events
  disk,    // reads, writes and flushes of the disks that are open
};

Result<> enter_jail(ThreadRole role);

// What enter_jail() loads. For tests.
std::vector<sock_filter> jail_filter(ThreadRole role);

}  // namespace msb::kvm
