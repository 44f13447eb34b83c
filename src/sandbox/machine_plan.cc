#include "sandbox/machine_plan.h"

#include <algorithm>

#include "base/units.h"
#include "sandbox/exec_request.h"
#include "sandbox/mounts.h"
#include "sandbox/network_plan.h"
#include "sandbox/scripts.h"
#include "sandbox/validate.h"

namespace msb {
namespace {

// /tmp is a tmpfs of a quarter of the memory, but not more than this.
constexpr uint64_t kMaxTmpMib = 512;
// The guest of a flat root copies its image before it is up: some ten MB a second on the portable machine.
constexpr uint64_t kCopyDeadlineMs = uint64_t{30} * 60 * 1000;

std::string_view machine_name(const SandboxConfig& config) {
  switch (config.machine) {
    case MachineChoice::automatic:
      return needs_kvm(config) ? "kvm" : "auto";
    case MachineChoice::kvm:
      return "kvm";
    case MachineChoice::portable:
      return "portable";
  }
  return "auto";
}

state::DiskSpec::Format format_of(std::optional<DiskFormat> format) {
  return format == DiskFormat::qcow2 ? state::DiskSpec::Format::qcow2 : state::DiskSpec::Format::raw;
}

wire::RootSpec plan_root(const SandboxConfig& config) {
  wire::RootSpec root;
  if (config.image.kind == ImageSource::Kind::disk) {
    root.kind = "disk";
    root.device = "/dev/vda";
    root.fstype = config.image.fstype;
    return root;
  }
  const RootDisk& disk = config.root_disk;
  root.kind = disk.kind == RootDisk::Kind::flat ? "flat" : "overlay";
  root.lower = "/dev/vda";
  if (disk.kind == RootDisk::Kind::tmpfs) {
    root.tmpfs_bytes = uint64_t{disk.size_mib} * kMiB;
    return root;
  }
  root.device = "/dev/vdb";
  if (disk.kind == RootDisk::Kind::disk) {
    root.fstype = disk.fstype;
  } else {
    root.grow = true;
  }
  return root;
}

}  // namespace

bool needs_kvm(const SandboxConfig& config) {
  return config.machine == MachineChoice::kvm || config.isolation == Isolation::hardware;
}

std::string directory_image(const state::Home& home, const std::string& name) {
  return home.sandbox_dir(name) + "/root.erofs";
}

std::string patch_image(const state::Home& home, const std::string& name) {
  return home.sandbox_dir(name) + "/patch.erofs";
}

std::vector<std::string> root_files(const state::Home& home, const StoredConfig& stored) {
  std::vector<std::string> files;
  if (stored.config.image.kind == ImageSource::Kind::directory) {
    files.push_back(directory_image(home, stored.config.name));
  } else if (stored.config.image.kind == ImageSource::Kind::oci) {
    files.push_back(home.image_tree(stored.manifest_digest));
    for (const auto& diff_id : stored.layers) files.push_back(home.layer(diff_id));
  }
  return files;
}

state::MachineSpec plan_machine(const state::Home& home, const StoredConfig& stored) {
  const SandboxConfig& config = stored.config;
  state::MachineSpec spec;
  spec.vcpus = config.cpus;
  spec.memory_mib = config.memory_mib;
  if (config.image.kind == ImageSource::Kind::disk) {
    spec.disks.push_back({.format = format_of(config.image.format), .files = {config.image.reference}});
    return spec;
  }
  state::DiskSpec lower{
      .format = state::DiskSpec::Format::concat, .files = root_files(home, stored), .read_only = true};
  if (stored.patched) {
    // It takes the place of an image's tree; the image of a directory has the files' data too.
    if (config.image.kind == ImageSource::Kind::oci) lower.files.erase(lower.files.begin());
    lower.files.insert(lower.files.begin(), patch_image(home, config.name));
  }
  spec.disks.push_back(std::move(lower));
  const RootDisk& root = config.root_disk;
  if (root.kind == RootDisk::Kind::disk) {
    spec.disks.push_back({.format = format_of(root.format), .files = {root.source}});
  } else if (root.kind != RootDisk::Kind::tmpfs) {
    spec.disks.push_back(
        {.format = state::DiskSpec::Format::raw, .files = {home.upper(config.name)}, .scratch = config.ephemeral});
  }
  return spec;
}

Result<wire::Bootstrap> plan_bootstrap(const StoredConfig& stored) {
  const SandboxConfig& config = stored.config;
  EffectiveConfig effective = merge(stored.image, config);
  wire::Bootstrap bootstrap;
  bootstrap.root = plan_root(config);
  bootstrap.hostname = effective_hostname(config);
  bootstrap.env = std::move(effective.env);
  bootstrap.workdir = std::move(effective.workdir);
  bootstrap.user = std::move(effective.user);
  MSB_TRY(bootstrap.rlimits, to_wire(config.rlimits));
  bootstrap.cpus = config.cpus;
  if (config.image.kind != ImageSource::Kind::disk)
    bootstrap.tmp_bytes = std::clamp<uint64_t>(config.memory_mib / 4, 1, kMaxTmpMib) * kMiB;
  return bootstrap;
}

Result<std::optional<state::StartupCommand>> plan_startup(const StoredConfig& stored) {
  const auto& words = stored.config.startup_command;
  if (!words) return std::nullopt;
  EffectiveConfig effective = merge(stored.image, stored.config);
  auto argv = resolve_command(effective, words->empty() ? std::nullopt : words);
  if (!argv && words->empty()) return std::nullopt;
  if (!argv) return fail(std::move(argv).error());
  return state::StartupCommand{std::move(*argv), stored.config.keep_after_startup_success};
}

Result<state::LaunchConfig> plan_launch(const state::Home& home, const std::string& id, const StoredConfig& stored,
                                        std::optional<state::NetworkSpec> network) {
  const SandboxConfig& config = stored.config;
  state::LaunchConfig launch;
  launch.name = config.name;
  launch.id = id;
  launch.home = home.path();
  launch.machine = plan_machine(home, stored);
  launch.machine_choice = machine_name(config);
  MSB_TRY(auto bootstrap, plan_bootstrap(stored));
  bootstrap.mounts = plan_mounts(config.mounts, home, launch.machine);
  plan_scripts(home, config, launch.machine, bootstrap);
  launch.machine.network = std::move(network);
  if (launch.machine.network) plan_guest_network(*launch.machine.network, bootstrap);
  launch.bootstrap = wire::encode(bootstrap);
  MSB_TRY(launch.startup, plan_startup(stored));
  launch.attached = !config.detached;
  launch.ephemeral = config.ephemeral;
  if (config.root_disk.kind == RootDisk::Kind::flat) launch.boot_deadline_ms = kCopyDeadlineMs;
  if (config.max_duration) launch.max_duration_ms = static_cast<uint64_t>(config.max_duration->count());
  if (config.idle_timeout) launch.idle_timeout_ms = static_cast<uint64_t>(config.idle_timeout->count());
  return launch;
}

}  // namespace msb
