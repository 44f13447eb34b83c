// Limits: resource limits by their names on the wire.
#pragma once

#include <sys/resource.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "wire/messages.h"

namespace msb::agent {

struct Limit {
  int resource = 0;
  rlimit value{};
};

// All 16 kinds of Linux, "nofile" for RLIMIT_NOFILE. UINT64_MAX is "unlimited". Later entries win.
// Unknown names, and soft above hard, are errors.
Result<std::vector<Limit>> parse_limits(const std::vector<wire::Rlimit>& wanted);

}  // namespace msb::agent
