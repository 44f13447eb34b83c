// The flags that describe how a command runs, shared by `exec`, `shell`, `run` and `create`.
#pragma once

#include <string>
#include <vector>

#include <microsandbox/sandbox.h>

#include "cli/invocation.h"

namespace msb::cli {

// Terminal or plain streams, and what belongs to each.
class SessionFlags {
 public:
  void add_to(CLI::App& command);
  Result<> check() const;            // whether the flags make sense; to be asked before anything starts
  Result<bool> interactive() const;  // a terminal on stdin, unless --no-tty; --tty demands one

  // Runs argv in the sandbox with this process's streams, and returns the guest's exit code. `detached` is
  // set when the user left with the detach keys.
  struct Outcome {
    int exit_code = 0;
    bool detached = false;
  };
  Result<Outcome> run(Sandbox& sandbox, const std::vector<std::string>& argv, ExecOptions options) const;

 private:
  Result<std::optional<std::chrono::milliseconds>> timeout() const;

  bool tty_ = false;
  bool no_tty_ = false;
  std::string timeout_;
  std::string detach_keys_ = "ctrl-]";
};

// -e, -w, -u, --rlimit: of one command, or of all that run in a sandbox.
class ProcessFlags {
 public:
  void add_to(CLI::App& command);
  Result<ExecOptions> options() const;

 private:
  std::vector<std::string> env_;
  std::string workdir_;
  std::string user_;
  std::vector<std::string> rlimits_;
};

// "KEY=VALUE", or "KEY" to copy the host's value; the Error names the flag.
Result<std::pair<std::string, std::string>> parse_env(const std::string& text);

}  // namespace msb::cli
