// Scripts: programs that a sandbox has at /.msb/scripts, in its PATH.
//
// They are a read-only EROFS image of the sandbox's own, a disk that the guest mounts there: whatever the root is, they
// take no memory, and the guest cannot change them.
#pragma once

#include <string>
#include <vector>

#include <microsandbox/config.h>

#include "base/result.h"
#include "state/home.h"
#include "state/launch_config.h"
#include "wire/messages.h"

namespace msb {

inline constexpr const char* kScriptsPath = "/.msb/scripts";

// invalid_config: a name that is no file name or given twice, too much in all.
Result<> check_scripts(const std::vector<Script>& scripts);

std::string scripts_image(const state::Home& home, const std::string& name);
// Writes `output` (replaced; removed on failure).
Result<> make_scripts_image(const std::vector<Script>& scripts, const std::string& output);

// Adds the disk to the machine, the mount to the guest, and the path to its processes' PATH. Nothing without scripts.
void plan_scripts(const state::Home& home, const SandboxConfig& config, state::MachineSpec& machine,
                  wire::Bootstrap& bootstrap);

}  // namespace msb
