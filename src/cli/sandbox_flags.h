// The flags that describe a sandbox, shared by `run` and `create`.
#pragma once

#include <string>
#include <vector>

#include <microsandbox/config.h>

#include "cli/invocation.h"
#include "cli/output.h"

namespace msb::cli {

class SandboxFlags {
 public:
  void add_to(CLI::App& command);
  // What the flags say, checked. `--env KEY` without a value copies it from the host.
  Result<SandboxConfig> config() const;

  const std::string& image() const { return image_; }
  const std::string& name() const { return name_; }
  Quiet quiet() const { return quiet_ ? Quiet::yes : Quiet::no; }
  bool replaces() const { return replace_ || !replace_timeout_.empty(); }
  // Something beyond the name was said, which an existing sandbox would not obey.
  bool has_creation_flags() const;

 private:
  Result<> apply_image(SandboxConfig& config) const;
  Result<> apply_limits(SandboxConfig& config) const;
  Result<> apply_replace(SandboxConfig& config) const;

  CLI::App* command_ = nullptr;
  std::string image_;
  std::string name_;
  uint32_t cpus_ = 1;
  std::string memory_ = "512M";
  std::vector<std::string> env_;
  std::vector<std::string> labels_;
  std::string workdir_;
  std::string user_;
  std::string hostname_;
  std::string shell_ = "/bin/sh";
  std::string entrypoint_;
  std::vector<std::string> rlimits_;
  std::string root_disk_;
  std::string pull_ = "if-missing";
  std::string machine_ = "auto";
  std::string isolation_;
  std::string max_duration_;
  std::string idle_timeout_;
  bool replace_ = false;
  std::string replace_timeout_;
  bool insecure_ = false;
  std::vector<std::string> ca_certs_;
  bool quiet_ = false;
};

// "KEY=VALUE", or "KEY" to copy the host's value; the Error names the flag.
Result<std::pair<std::string, std::string>> parse_env(const std::string& text);
Result<std::vector<ResourceLimit>> parse_rlimits(const std::vector<std::string>& texts);
// Labels "KEY=VALUE", or "KEY" for an empty value.
std::pair<std::string, std::string> parse_label(const std::string& text);

}  // namespace msb::cli
