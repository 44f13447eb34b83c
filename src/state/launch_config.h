// LaunchConfig: what the sandbox library tells the VMM process it starts, as JSON in a sealed
// memory file. Never on argv or in the environment, which other users of the host can read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "state/machine_spec.h"

namespace msb::state {

// Descriptors the VMM process inherits, by number.
inline constexpr int kLaunchConfigFd = 3;   // sealed memfd with the JSON
inline constexpr int kStartupFd = 4;        // pipe: the VMM writes one StartupReport line, then closes it
inline constexpr int kLifecycleLockFd = 5;  // flock on Home::lifecycle_lock(name), held for the VMM's life
inline constexpr int kParentWatchFd = 6;    // pipe: end of file = the parent died, shut down; byte 1 = detached.
                                            // Absent (closed) when the sandbox starts detached.

struct StartupCommand {
  std::vector<std::string> argv;
  bool keep_after_success = false;  // the sandbox lives on when it exits with 0
};

struct LaunchConfig {
  std::string name;
  std::string id;
  std::string home;  // $MSB_HOME, absolute
  MachineSpec machine;
  std::string machine_choice;  // "auto", "kvm", "portable"
  // Body of the core.bootstrap message, already encoded: the VMM passes it on and adds the clock.
  std::vector<uint8_t> bootstrap;
  std::optional<StartupCommand> startup;
  bool attached = false;
  bool ephemeral = false;
  uint64_t max_duration_ms = 0;  // 0 = none
  uint64_t idle_timeout_ms = 0;  // 0 = none
  uint64_t boot_deadline_ms = 180'000;

  std::string to_json() const;
  static Result<LaunchConfig> from_json(const std::string& text);
};

// One line of JSON on kStartupFd.
struct StartupReport {
  bool ready = false;
  // ready:
  std::string machine;    // "portable"
  std::string isolation;  // "process"
  // failed:
  std::string stage;  // BootFailure::stage
  std::string message;
  std::string hint;
  int errnum = 0;
  std::vector<std::string> kernel_lines;

  std::string to_json() const;
  static Result<StartupReport> from_json(const std::string& text);
};

}  // namespace msb::state
