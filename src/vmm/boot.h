// Boot: from a started machine to core.ready, or to a failure that says what went wrong.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "state/launch_config.h"
#include "vmm/console.h"
#include "vmm/machine.h"
#include "vmm/network.h"
#include "wire/messages.h"

namespace msb::vmm {

struct BootProblem {
  std::string stage;  // "config", "image", "build_vm", "mount", "agent", "other"
  std::string message;
  std::string hint;
  int errnum = 0;
};

// The core.bootstrap frame: the caller's message with the host's clock in it, and what the machine's
// network card can carry.
Result<Bytes> bootstrap_frame(const state::LaunchConfig& config, const Network* network, uint64_t unix_time_nanos);

// What a frame of the agent means while the guest boots. nullopt: it is ready.
std::optional<BootProblem> judge_boot_frame(ByteView raw);

// Why the machine could not even be started.
BootProblem judge_build_error(const Error& error);
// Why the machine ended before the agent was ready.
BootProblem judge_boot_end(const MachineEnd& end, const Console& console, uint32_t memory_mib);
BootProblem judge_deadline(const Console& console, uint64_t deadline_ms);

state::StartupReport failure_report(const BootProblem& problem, std::vector<std::string> kernel_lines);

}  // namespace msb::vmm
