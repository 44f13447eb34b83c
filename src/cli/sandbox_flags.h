// The flags that describe a sandbox, shared by `run` and `create`.
#pragma once

#include <string>
#include <vector>

#include <microsandbox/config.h>
#include <microsandbox/sandbox.h>

#include "cli/exec_flags.h"
#include "cli/invocation.h"
#include "cli/network_flags.h"
#include "cli/output.h"
#include "cli/patch_flags.h"
#include "cli/script_flags.h"

namespace msb::cli {

class SandboxFlags {
 public:
  void add_to(CLI::App& command);
  // What the flags say, checked: what is wrong with them is wrong usage. `--env KEY` copies the host's value.
  Result<SandboxConfig> config() const;

  // Says on stderr what of a configuration that is valid may not be what was meant.
  void warn_of(const SandboxConfig& config) const;

  const std::string& image() const { return image_; }
  const std::string& name() const { return name_; }
  Quiet quiet() const { return quiet_ ? Quiet::yes : Quiet::no; }
  bool replaces() const { return replace_ || !replace_timeout_.empty(); }
  // Something beyond the name was said, which an existing sandbox would not obey.
  bool has_creation_flags() const;

 private:
  Result<SandboxConfig> checked_config() const;
  Result<> apply_image(SandboxConfig& config) const;
  Result<> apply_limits(SandboxConfig& config) const;
  Result<> apply_mounts(SandboxConfig& config) const;
  Result<> apply_replace(SandboxConfig& config) const;

  CLI::App* command_ = nullptr;
  std::string image_;
  std::string snapshot_;
  std::string name_;
  uint32_t cpus_ = 1;
  std::string memory_ = "512M";
  ProcessFlags process_;
  std::vector<std::string> labels_;
  std::string hostname_;
  std::string shell_ = "/bin/sh";
  std::string entrypoint_;
  std::string root_disk_;
  std::vector<std::string> volumes_;
  std::vector<std::string> directories_;
  std::vector<std::string> files_;
  std::vector<std::string> named_;
  std::vector<std::string> tmpfs_;
  std::vector<std::string> disks_;
  PatchFlags patches_;
  ScriptFlags scripts_;
  NetworkFlags network_;
  std::string pull_ = "if-missing";
  std::string machine_ = "auto";
  std::string isolation_ = "process";
  std::string max_duration_;
  std::string idle_timeout_;
  bool replace_ = false;
  std::string replace_timeout_;
  bool insecure_ = false;
  std::vector<std::string> ca_certs_;
  bool quiet_ = false;
};

// Labels "KEY=VALUE", or "KEY" for an empty value.
std::pair<std::string, std::string> parse_label(const std::string& text);
// Whether it carries all of them; of a "KEY" any value will do.
bool has_labels(const SandboxInfo& info, const std::vector<std::string>& labels);

}  // namespace msb::cli
