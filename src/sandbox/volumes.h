// Named volumes as sandboxes use them.
#pragma once

#include <string>
#include <vector>

#include <microsandbox/mount.h>
#include <microsandbox/volume.h>

#include "sandbox/binds.h"
#include "sandbox/store.h"

namespace msb {

// Finds the volume that is to be mounted, or makes it: its kind, size and quota are in `mount` then. Failures:
// volume_not_found, volume_already_exists, invalid_config (it is another than what is asked for).
Result<> resolve_volume(Mount& mount, const state::Home& home, Resolution resolution);

// Those that the mounts name are there. Inside the transaction that enters a sandbox with them.
Result<> check_volumes(const state::Home& home, const std::vector<Mount>& mounts);

// The share that a directory volume comes to. Pure.
state::ShareSpec share_of_volume(const Mount& mount, const state::Home& home, std::string name);

// What is asked for, without looking at the disk: ErrorKind::invalid_config.
Result<> check_volume(const VolumeConfig& config);

// Makes it. ErrorKind::volume_already_exists.
Result<> make_volume(const state::Home& home, const VolumeConfig& config);

// The sandboxes that mount it, by their configurations in the database.
Result<std::vector<std::string>> volume_users(state::Database& database, const std::string& name);

Error volume_exists(const std::string& name);
Error volume_not_found(const state::Home& home, const std::string& name);

}  // namespace msb
