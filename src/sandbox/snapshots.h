// Snapshots as sandboxes use them: what is taken from a sandbox's directory, and what a new one gets.
#pragma once

#include <string>
#include <vector>

#include <microsandbox/image.h>
#include <microsandbox/snapshot.h>

#include "sandbox/config_json.h"
#include "state/home.h"
#include "state/snapshots.h"

namespace msb {

// ErrorKind::snapshot_not_found names those there are.
Result<state::Snapshot> get_snapshot(const state::Home& home, const std::string& name);

// A configuration that begins from a snapshot: gets the snapshot's image, which is pulled by its digest when it is not
// here, and the shape of its root disk. Failures: snapshot_not_found, snapshot_integrity, and those of a pull.
Result<StoredConfig> resolve_snapshot(const state::Home& home, SandboxConfig config, const PullProgress& progress);

// Copies the snapshot's files to where the sandbox has its own. Files that are there stay: they are in use.
Result<> restore_snapshot(const state::Home& home, const StoredConfig& stored);

// Its files are there, with the sizes they should have.
Result<> check_snapshot_files(const state::Snapshot& snapshot);

// The contents are what the description says. ErrorKind::snapshot_integrity.
Result<> check_snapshot_contents(const state::Snapshot& snapshot);

// The names in its directory that are its own; nothing else there is.
std::vector<std::string> names_of(const state::Snapshot& snapshot);

// One that the user keeps in a directory of his own: its files go, whatever else is there stays, and so does the
// directory then. The description goes first: what is half removed is no snapshot.
Result<> remove_kept_elsewhere(const state::Snapshot& snapshot);

SnapshotInfo to_info(const state::Snapshot& snapshot);

}  // namespace msb
