#include "cli/sandbox_flags.h"

#include <algorithm>

#include "base/units.h"

namespace msb::cli {
namespace {

Result<PullPolicy> parse_pull_policy(const std::string& text) {
  if (text == "always") return PullPolicy::always;
  if (text == "if-missing" || text == "missing") return PullPolicy::if_missing;
  if (text == "never") return PullPolicy::never;
  return fail(ErrorKind::invalid_config, cat("unknown pull policy '", text, "'; use always, if-missing or never"));
}

Result<Isolation> parse_isolation(const std::string& isolation) {
  if (isolation == "hardware") return Isolation::hardware;
  if (isolation == "process") return Isolation::process;
  return fail(ErrorKind::invalid_config, cat("unknown isolation '", isolation, "'; use hardware or process"));
}

Result<MachineChoice> parse_machine(const std::string& machine) {
  if (machine == "kvm") return MachineChoice::kvm;
  if (machine == "portable") return MachineChoice::portable;
  if (machine == "auto") return MachineChoice::automatic;
  return fail(ErrorKind::invalid_config, cat("unknown machine '", machine, "'; use auto, kvm or portable"));
}

}  // namespace

std::pair<std::string, std::string> parse_label(const std::string& text) {
  auto equals = text.find('=');
  if (equals == std::string::npos) return {text, ""};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

bool has_labels(const SandboxInfo& info, const std::vector<std::string>& labels) {
  return std::all_of(labels.begin(), labels.end(), [&](const std::string& label) {
    auto [key, value] = parse_label(label);
    auto found = info.labels.find(key);
    return found != info.labels.end() && (label.find('=') == std::string::npos || found->second == value);
  });
}

void SandboxFlags::add_to(CLI::App& command) {
  command_ = &command;
  auto* image = command.add_option("IMAGE", image_, "OCI reference, ./directory, or disk image (.raw .img .qcow2)");
  command.add_option("--from-snapshot,--from-snap", snapshot_, "Begin from a snapshot, by name or path")
      ->excludes(image);
  command.add_option("-n,--name", name_, "Name of the sandbox");
  command.add_option("-c,--cpus", cpus_, "Virtual CPUs (1)");
  command.add_option("-m,--memory", memory_, "Memory, e.g. 512M or 2G (512M)");
  process_.add_to(command);
  add_repeatable(command, "--label", labels_, "KEY=VALUE label");
  command.add_option("-H,--hostname", hostname_, "Host name of the guest (its name)");
  command.add_option("--shell", shell_, "Shell for `msb shell` (/bin/sh)");
  command.add_option("--entrypoint", entrypoint_, "Replaces the image's entrypoint; \"\" clears it");
  command.add_option("--root-disk", root_disk_,
                     "What is written to: SIZE, tmpfs[:SIZE], flat[:SIZE] or a disk image (4G)");
  add_repeatable(command, "-v,--volume", volumes_, "SOURCE:PATH[:OPTIONS]: a host path, or a named volume");
  add_repeatable(command, "--mount-dir", directories_, "HOSTDIR:PATH[:OPTIONS]: a directory of the host");
  add_repeatable(command, "--mount-file", files_, "HOSTFILE:PATH[:OPTIONS]: a file of the host");
  add_repeatable(command, "--mount-named", named_, "VOLUME:PATH[:OPTIONS]: a named volume");
  add_repeatable(command, "--tmpfs", tmpfs_, "PATH[:SIZE][:OPTIONS]: a file system in memory");
  add_repeatable(command, "--mount-disk", disks_, "IMAGE:PATH[:OPTIONS]: a disk image (.raw .img .qcow2)");
  patches_.add_to(command);
  scripts_.add_to(command);
  network_.add_to(command);
  command.add_option("--pull", pull_, "always, if-missing or never (if-missing)");
  command.add_option("--machine", machine_, "auto, kvm or portable (auto)");
  command.add_option("--isolation", isolation_, "The least that will do: process or hardware (process)");
  command.add_option("--max-duration", max_duration_, "Stop after this long, e.g. 30m");
  command.add_option("--idle-timeout", idle_timeout_, "Stop after this long without activity");
  command.add_flag("--replace", replace_, "Replace a sandbox of the same name");
  command.add_option("--replace-with-timeout", replace_timeout_, "Grace for the replaced one (10s; 0 kills)");
  command.add_flag("--insecure", insecure_, "Allow plain HTTP and unverified TLS to the registry");
  add_repeatable(command, "--ca-certs", ca_certs_, "PEM file with CAs to trust for the registry");
  command.add_flag("-q,--quiet", quiet_, "No progress, no ticks");
}

bool SandboxFlags::has_creation_flags() const {
  for (const auto* option : command_->get_options()) {
    const auto& name = option->get_name();
    bool about_creation = name != "IMAGE" && name != "--name" && name != "--quiet" && name != "--tty" &&
                          name != "--no-tty" && name != "--detach" && name != "--timeout" && name != "--detach-keys" &&
                          name != "--pull";
    if (about_creation && option->count() > 0) return true;
  }
  return false;
}

Result<> SandboxFlags::apply_image(SandboxConfig& config) const {
  MSB_TRY(config.pull_policy, parse_pull_policy(pull_));
  config.registry.insecure = insecure_;
  config.registry.ca_cert_files = ca_certs_;
  config.from_snapshot = snapshot_;
  if (!snapshot_.empty() && !root_disk_.empty())
    return fail(Error(ErrorKind::invalid_config,
                      "--root-disk and --from-snapshot exclude each other: a snapshot brings its disk")
                    .hint("`msb modify` makes it larger"));
  if (!snapshot_.empty()) return {};
  if (image_.empty())
    return fail(Error(ErrorKind::invalid_config, "no image given")
                    .hint(cat("for example: msb ", command_->get_name(), " alpine")));
  MSB_TRY(config.image, ImageSource::parse(image_));
  return {};
}

Result<> SandboxFlags::apply_limits(SandboxConfig& config) const {
  config.cpus = cpus_;
  MSB_TRY(config.memory_mib, parse_mib(memory_));
  if (!root_disk_.empty()) {
    MSB_TRY(config.root_disk, RootDisk::parse(root_disk_));
  }
  if (!max_duration_.empty()) {
    MSB_TRY(config.max_duration, parse_duration(max_duration_));
  }
  if (!idle_timeout_.empty()) {
    MSB_TRY(config.idle_timeout, parse_duration(idle_timeout_));
  }
  return {};
}

Result<> SandboxFlags::apply_mounts(SandboxConfig& config) const {
  using SourceType = Mount::SourceType;
  auto add = [&](const std::vector<std::string>& texts, auto&& parse) -> Result<> {
    for (const auto& text : texts) {
      MSB_TRY(auto mount, parse(text));
      config.mounts.push_back(std::move(mount));
    }
    return {};
  };
  MSB_CHECK(add(volumes_, Mount::parse_volume));
  MSB_CHECK(add(directories_, [](const auto& text) { return Mount::parse_bind(text, SourceType::directory); }));
  MSB_CHECK(add(files_, [](const auto& text) { return Mount::parse_bind(text, SourceType::file); }));
  MSB_CHECK(add(named_, Mount::parse_named));
  MSB_CHECK(add(tmpfs_, Mount::parse_tmpfs));
  MSB_CHECK(add(disks_, Mount::parse_disk));
  return {};
}

Result<> SandboxFlags::apply_replace(SandboxConfig& config) const {
  if (!replace_timeout_.empty()) {
    MSB_TRY(config.replace_grace, parse_duration(replace_timeout_));
  } else if (replace_) {
    config.replace_grace = std::chrono::seconds(10);
  }
  return {};
}

Result<SandboxConfig> SandboxFlags::config() const {
  return usage(checked_config());
}

void SandboxFlags::warn_of(const SandboxConfig& config) const {
  if (const auto text = network_.warning(config.network)) warn(quiet(), *text);
}

Result<SandboxConfig> SandboxFlags::checked_config() const {
  SandboxConfig config;
  config.name = name_;
  // No name asks for one to be made; an empty one is more likely a script's unset variable.
  if (name_.empty() && command_->get_option("--name")->count() > 0) MSB_CHECK(validate_sandbox_name(name_));
  MSB_CHECK(apply_image(config));
  MSB_CHECK(apply_limits(config));
  MSB_CHECK(apply_mounts(config));
  MSB_CHECK(apply_replace(config));
  MSB_TRY(config.patches, patches_.patches());
  MSB_TRY(config.scripts, scripts_.scripts(shell_));
  MSB_TRY(config.network, network_.config());
  MSB_TRY(auto process, process_.options());
  config.env = std::move(process.env);
  config.workdir = process.cwd.value_or("");
  config.user = process.user.value_or("");
  config.rlimits = std::move(process.rlimits);
  for (const auto& text : labels_) config.labels.insert_or_assign(parse_label(text).first, parse_label(text).second);
  config.hostname = hostname_;
  config.shell = shell_;
  if (command_->get_option("--entrypoint")->count() > 0) {
    config.entrypoint.emplace();
    if (!entrypoint_.empty()) config.entrypoint->push_back(entrypoint_);
  }
  MSB_TRY(config.machine, parse_machine(machine_));
  MSB_TRY(config.isolation, parse_isolation(isolation_));
  MSB_CHECK(validate(config));
  return config;
}

}  // namespace msb::cli
