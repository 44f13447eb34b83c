// From a list of system calls to the BPF programs that enforce it. Made before the fork, so that the child only loads
// them.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

#include "base/result.h"

namespace msb::fence {

// What a program may call; any other call kills it. A name that this architecture does not have is skipped.
// execve must be among the allowed for a program that start_fenced() starts: the filter is loaded just before it.
struct SeccompPolicy {
  struct Refused {
    const char* name;
    int error;  // errno
  };
  // One permitted shape: (argument & mask) == value. Of several shapes of one call any will do.
  struct Shape {
    const char* name;
    unsigned argument;
    uint64_t mask;
    uint64_t value;
  };
  enum class OtherShapes {
    kill,
    refuse,  // EPERM: for programs whose libraries try harmless ones
  };

  std::vector<const char*> allowed;
  std::vector<Refused> refused;  // libraries try these and have another way when they are refused
  std::vector<Shape> shapes;     // calls whose arguments matter: not in `allowed` too
  OtherShapes other_shapes = OtherShapes::kill;
  std::vector<const char*> frequent;  // judged first
};

// Both programs are loaded, unless empty; the kernel takes the stricter verdict.
struct SeccompFilter {
  std::vector<sock_filter> calls;
  std::vector<sock_filter> arguments;  // with OtherShapes::refuse only
  bool empty() const { return calls.empty(); }
};

Result<SeccompFilter> build_seccomp_filter(const SeccompPolicy& policy);

}  // namespace msb::fence
