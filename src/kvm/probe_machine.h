// The probe machine: a guest of a few instructions, which shows whether this host's KVM runs guests at all.
//
// It runs in a child process that is killed when it has not ended in time: a broken KVM may keep a processor for ever,
// and the caller may be anybody's program. The child has no descriptor of the caller's but the one it is given (so it
// holds no lock of the caller's), is seen by no wait() or SIGCHLD handler of the caller's, and allocates nothing, for
// the caller may have threads. One that cannot even be killed is left to the kernel.
#pragma once

#include <chrono>

#include "base/result.h"

namespace msb::kvm {

// A healthy KVM needs milliseconds, one inside an emulator that is busy some hundred.
inline constexpr std::chrono::milliseconds kProbeDeadline{10'000};

// `kvm` is an open /dev/kvm. ErrorKind::runtime: what the machine did wrong, or that it did not end in time.
Result<> run_probe_machine(int kvm, std::chrono::milliseconds deadline = kProbeDeadline);

// ---- the step below, for tests ----

// How the child fared. Plain, for it goes through a pipe; `problem` is a literal, and the child's are at the same
// place.
struct ProbeFinding {
  const char* problem = "";  // nullptr: all is well
  int error = 0;             // errno, when a call failed
  uint32_t exit_reason = 0;  // of KVM, when that is the problem
};

// What `work(fd)` finds in such a child.
Result<ProbeFinding> find_in_child(ProbeFinding (*work)(int fd), int fd, std::chrono::milliseconds deadline);

}  // namespace msb::kvm
