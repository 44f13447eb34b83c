// From a stored configuration to the machine and the message that boots its guest. Pure: no disk is touched.
#pragma once

#include "sandbox/config_json.h"
#include "sandbox/image_merge.h"
#include "state/home.h"
#include "state/launch_config.h"
#include "wire/messages.h"

namespace msb {

// The image made of a directory, private to its sandbox.
std::string directory_image(const state::Home& home, const std::string& name);

// The image that the patches of a sandbox come to; see patch_image.h.
std::string patch_image(const state::Home& home, const std::string& name);

// The files of the root's read-only disk, in their order, without patches. None of a disk image.
std::vector<std::string> root_files(const state::Home& home, const StoredConfig& stored);

// Whether no machine but kvm will do.
bool needs_kvm(const SandboxConfig& config);

// The kernel and initramfs stay empty: the sandbox process, which is msb, has them.
state::MachineSpec plan_machine(const state::Home& home, const StoredConfig& stored);
Result<wire::Bootstrap> plan_bootstrap(const StoredConfig& stored);
// `network`: what plan_network() made of the sandbox's, if it has any.
Result<state::LaunchConfig> plan_launch(const state::Home& home, const std::string& id, const StoredConfig& stored,
                                        std::optional<state::NetworkSpec> network);

// What the sandbox runs by itself once it is up; nullopt when nothing was asked for, or the image has no command.
Result<std::optional<state::StartupCommand>> plan_startup(const StoredConfig& stored);

}  // namespace msb
