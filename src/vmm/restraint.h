// The second wall round the vmm process itself. The guest's machine runs in a fence of its own; this process reads what
// the guest's agent and kernel say, so it gives up what it does not need before it reads the first byte of that.
#pragma once

#include <vector>

#include "base/result.h"
#include "fence/seccomp_filter.h"
#include "fence/walls.h"
#include "state/home.h"

namespace msb::vmm {

// For good: files (its own sandbox's directory, run/, the database; not the image cache, not other sandboxes' disks),
// system calls (no process, no program, no socket but Unix ones), core dumps and tracing. To be called once the
// machine has been started and the database opened at least once, with one thread.
Result<fence::WallReports> restrain_vmm_process(const state::Home& home, const std::string& sandbox);

// What it may call afterwards (for tests and documentation).
fence::SeccompPolicy vmm_system_calls();

}  // namespace msb::vmm
