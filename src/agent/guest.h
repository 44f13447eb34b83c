// Guest: what the agent does to the machine it runs in, apart from running processes. PID 1 has the
// real one (machine.h); tests run the agent as an ordinary process with another.
#pragma once

#include <optional>

#include "agent/limits.h"

namespace msb::agent {

class Guest {
 public:
  virtual ~Guest() = default;

  // Makes the root file system and all a process needs. nullopt when it worked.
  virtual std::optional<wire::BootFailed> set_up(const wire::Bootstrap& bootstrap) = 0;
  // What can wait until the host has been told; before the first process.
  virtual void after_ready(const wire::Bootstrap& bootstrap) = 0;
  // When PID 1 started, CLOCK_BOOTTIME nanoseconds.
  virtual uint64_t start_time_ns() const = 0;
  virtual void set_clock(uint64_t unix_time_nanos) = 0;
  // What every process starts with, where the host does not say otherwise.
  virtual std::vector<Limit> base_limits() const { return {}; }
  // To every process but the agent.
  virtual void signal_all(int signal) = 0;
  // Does not return in a real guest. All processes have ended.
  virtual void power_off() = 0;
};

}  // namespace msb::agent
