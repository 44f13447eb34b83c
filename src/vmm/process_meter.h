// ProcessMeter: what another process of this user's has used, without looking it up again: its number is turned into a
// clock, its file in /proc is held open. So it works behind walls that let nothing be opened (restraint.h).
//
// The process must be a child that has not been waited for: then its number is no other's.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <optional>

#include "base/fd.h"

namespace msb::vmm {

class ProcessMeter {
 public:
  // Before the walls.
  static Result<ProcessMeter> open(pid_t pid);

  // Of all its threads, those that have ended included; a guest's time counts for the process that runs it.
  Result<uint64_t> cpu_time_ns() const;
  // nullopt where /proc is not readable (hidepid), and once the process has ended.
  std::optional<uint64_t> resident_bytes() const;

 private:
  ProcessMeter(clockid_t clock, Fd statm) : clock_(clock), statm_(std::move(statm)) {}
  clockid_t clock_;
  Fd statm_;
};

// The second number of /proc/PID/statm, which counts pages.
std::optional<uint64_t> parse_statm(std::string_view text, uint64_t page_size);

}  // namespace msb::vmm
