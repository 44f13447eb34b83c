// Mounts of a sandbox: their rules, their order, and what they come to in the guest.
#pragma once

#include <vector>

#include <microsandbox/config.h>

#include "base/result.h"
#include "disk/block_device.h"
#include "sandbox/binds.h"
#include "state/machine_spec.h"
#include "wire/messages.h"

namespace msb {

// Without looking at the disk. Errors: invalid_config (a target that is no absolute path, or taken; a disk twice).
Result<> check_mounts(const SandboxConfig& config);

// Finds disk images and what is bound, whose paths become absolute. Errors: path_not_found, invalid_config, corrupt,
// and those of resolve_bind().
Result<> resolve_mounts(std::vector<Mount>& mounts, const state::Home& home, Resolution resolution);

// Adds disks and shares to the machine, and says what the agent is to mount where: parents before what lies below them.
std::vector<wire::MountSpec> plan_mounts(const std::vector<Mount>& mounts, const state::Home& home,
                                         state::MachineSpec& machine);

// What the guest calls the next disk that is added to these.
std::string next_device(const std::vector<state::DiskSpec>& disks);

// A disk image that the guest may write to, or read: whether it is there and can be what it should be.
Result<> check_disk_image(const std::string& path, std::optional<DiskFormat> format, disk::Access access);

}  // namespace msb
