#include "cli/sandbox_flags.h"

#include <cstdlib>

#include "base/units.h"

namespace msb::cli {
namespace {

// A repeatable option takes one word each time, so that it does not swallow the image name.
void add_repeatable(CLI::App& command, const std::string& names, std::vector<std::string>& target,
                    const std::string& description) {
  command.add_option(names, target, description)->type_size(1)->allow_extra_args(false)->type_name("");
}

Result<PullPolicy> parse_pull_policy(const std::string& text) {
  if (text == "always") return PullPolicy::always;
  if (text == "if-missing" || text == "missing") return PullPolicy::if_missing;
  if (text == "never") return PullPolicy::never;
  return fail(ErrorKind::invalid_config, cat("unknown pull policy '", text, "'; use always, if-missing or never"));
}

Result<MachineChoice> parse_machine(const std::string& machine, const std::string& isolation) {
  if (!isolation.empty() && isolation != "hardware" && isolation != "process")
    return fail(ErrorKind::invalid_config, cat("unknown isolation '", isolation, "'; use hardware or process"));
  if (isolation == "hardware" && machine == "portable")
    return fail(Error(ErrorKind::invalid_config, "--isolation hardware excludes --machine portable")
                    .hint("the portable machine isolates by a fenced process; leave one of the two flags out"));
  if (machine == "kvm" || isolation == "hardware") return MachineChoice::kvm;
  if (machine == "portable") return MachineChoice::portable;
  if (machine == "auto") return MachineChoice::automatic;
  return fail(ErrorKind::invalid_config, cat("unknown machine '", machine, "'; use auto, kvm or portable"));
}

}  // namespace

Result<std::pair<std::string, std::string>> parse_env(const std::string& text) {
  auto equals = text.find('=');
  if (equals == 0 || text.empty())
    return fail(ErrorKind::invalid_config, cat("--env '", text, "' has no name; write KEY=VALUE"));
  if (equals != std::string::npos) return std::pair(text.substr(0, equals), text.substr(equals + 1));
  const char* value = std::getenv(text.c_str());  // NOLINT(concurrency-mt-unsafe): before any thread starts
  if (!value)
    return fail(Error(ErrorKind::invalid_config, cat("--env ", text, ": that variable is not set here"))
                    .hint(cat("give it a value: --env ", text, "=VALUE")));
  return std::pair(text, std::string(value));
}

std::pair<std::string, std::string> parse_label(const std::string& text) {
  auto equals = text.find('=');
  if (equals == std::string::npos) return {text, ""};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

Result<std::vector<ResourceLimit>> parse_rlimits(const std::vector<std::string>& texts) {
  std::vector<ResourceLimit> limits;
  for (const auto& text : texts) {
    MSB_TRY(auto limit, ResourceLimit::parse(text));
    limits.push_back(std::move(limit));
  }
  return limits;
}

void SandboxFlags::add_to(CLI::App& command) {
  command_ = &command;
  command.add_option("IMAGE", image_, "OCI reference, ./directory, or disk image (.raw .img .qcow2)");
  command.add_option("-n,--name", name_, "Name of the sandbox");
  command.add_option("-c,--cpus", cpus_, "Virtual CPUs (1)");
  command.add_option("-m,--memory", memory_, "Memory, e.g. 512M or 2G (512M)");
  add_repeatable(command, "-e,--env", env_, "KEY=VALUE, or KEY to copy the host's value");
  add_repeatable(command, "--label", labels_, "KEY=VALUE label");
  command.add_option("-w,--workdir", workdir_, "Working directory in the guest");
  command.add_option("-u,--user", user_, "USER|UID[:GROUP|GID]");
  command.add_option("-H,--hostname", hostname_, "Host name of the guest (its name)");
  command.add_option("--shell", shell_, "Shell for `msb shell` (/bin/sh)");
  command.add_option("--entrypoint", entrypoint_, "Replaces the image's entrypoint; \"\" clears it");
  add_repeatable(command, "--rlimit", rlimits_, "RESOURCE=SOFT[:HARD], e.g. nofile=1024");
  command.add_option("--root-disk", root_disk_, "Writable layer: SIZE, tmpfs or tmpfs:SIZE (4G)");
  command.add_option("--pull", pull_, "always, if-missing or never (if-missing)");
  command.add_option("--machine", machine_, "auto, kvm or portable (auto)");
  command.add_option("--isolation", isolation_, "Demand an isolation: hardware or process");
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
  if (image_.empty())
    return fail(Error(ErrorKind::invalid_config, "no image given")
                    .hint(cat("for example: msb ", command_->get_name(), " alpine")));
  MSB_TRY(config.image, ImageSource::parse(image_));
  MSB_TRY(config.pull_policy, parse_pull_policy(pull_));
  config.registry.insecure = insecure_;
  config.registry.ca_cert_files = ca_certs_;
  return {};
}

Result<> SandboxFlags::apply_limits(SandboxConfig& config) const {
  config.cpus = cpus_;
  MSB_TRY(config.memory_mib, parse_mib(memory_));
  MSB_TRY(config.rlimits, parse_rlimits(rlimits_));
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

Result<> SandboxFlags::apply_replace(SandboxConfig& config) const {
  if (!replace_timeout_.empty()) {
    MSB_TRY(config.replace_grace, parse_duration(replace_timeout_));
  } else if (replace_) {
    config.replace_grace = std::chrono::seconds(10);
  }
  return {};
}

Result<SandboxConfig> SandboxFlags::config() const {
  SandboxConfig config;
  config.name = name_;
  MSB_CHECK(apply_image(config));
  MSB_CHECK(apply_limits(config));
  MSB_CHECK(apply_replace(config));
  for (const auto& text : env_) {
    MSB_TRY(auto variable, parse_env(text));
    config.env.push_back(std::move(variable));
  }
  for (const auto& text : labels_) config.labels.insert_or_assign(parse_label(text).first, parse_label(text).second);
  config.workdir = workdir_;
  config.user = user_;
  config.hostname = hostname_;
  config.shell = shell_;
  if (command_->get_option("--entrypoint")->count() > 0) {
    config.entrypoint.emplace();
    if (!entrypoint_.empty()) config.entrypoint->push_back(entrypoint_);
  }
  MSB_TRY(config.machine, parse_machine(machine_, isolation_));
  return config;
}

}  // namespace msb::cli
