// The inner wall: each thread of msb-kvm keeps only the system calls of its role, and any other kills the process.
//
//   MSB_CHECK(enter_jail(ThreadRole::vcpu));   // first thing in a thread, after what must be opened is open
//
// A role cannot be left. Threads must exist before the thread that creates them enters its own role: no role can start
// one. No role can create a descriptor other than an event or a timer, name a process or an address, or make memory
// executable; none but `share` can name a file or keeps a capability (root's, over files; see fence.h). The fence round
// the process (fence/fence.h) stands outside of this.
//
// `share` names files by what it has open: a directory's descriptor and a name, or a link in the working directory,
// which the fence has made /proc/self/fd. Those links are the first thread's descriptors. So that thread takes the
// role, and first keeps descriptors of its own without the disks and sockets of the others (keep_own_descriptors()):
// none of them can be reopened, for writing or at all.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "base/result.h"

namespace msb::kvm {

// Each may also raise the guest's interrupt lines (KVM_IRQ_LINE).
enum class ThreadRole {
  device,  // the main thread: the reactor, sockets, entropy, balloon
  vcpu,    // KVM_RUN and reading registers; events
  disk,    // reads, writes and flushes of the disks that are open
  share,   // files below the shared directories
};

// From here on the calling thread's descriptors are its own, and it has closed in them every file of the host and every
// socket, but for standard input, output and error, directories and `wanted`. What others open it does not have.
Result<> keep_own_descriptors(const std::vector<int>& wanted);

Result<> enter_jail(ThreadRole role);

// What enter_jail() loads. For tests.
std::vector<sock_filter> jail_filter(ThreadRole role);

}  // namespace msb::kvm
