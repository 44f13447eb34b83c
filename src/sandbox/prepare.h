// What a sandbox needs on disk before its machine can start.
#pragma once

#include <microsandbox/image.h>

#include "base/file_lock.h"
#include "sandbox/config_json.h"
#include "state/home.h"

namespace msb {

// A sandbox that must have KVM on a host that cannot run it: ErrorKind::unsupported, with what to do.
Result<> check_kvm(const state::Home& home, const SandboxConfig& config);

// Pulls an OCI image by policy, or checks that the directory or disk image is there; what start() will need
// goes into the result. Paths become absolute.
Result<StoredConfig> resolve_image(const state::Home& home, SandboxConfig config, const PullProgress& progress);

// Makes the sandbox's folder and the disks that are missing in it; keeps those that are there. What comes from the
// configuration's contents (patches, scripts) is made for the first run only: no later one has them.
enum class Run { first, later };
Result<> prepare_disks(const state::Home& home, const StoredConfig& stored, Run run);

}  // namespace msb
