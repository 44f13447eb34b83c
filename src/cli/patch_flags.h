// The flags that change a sandbox's root before it boots: --copy, --copy-file, --copy-dir, --mkdir, --rm. They act in
// the order in which they stand on the command line.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include <microsandbox/config.h>

#include "cli/invocation.h"

namespace msb::cli {

class PatchFlags {
 public:
  void add_to(CLI::App& command);
  Result<std::vector<Patch>> patches() const;

 private:
  using Parse = Result<Patch> (*)(const std::string& text);
  struct Flag {
    Parse parse;
    std::vector<std::string> values = {};
    const CLI::Option* option = nullptr;
  };
  void add(CLI::App& command, const std::string& name, const std::string& description, Parse parse);

  CLI::App* command_ = nullptr;
  std::deque<Flag> flags_;  // CLI11 keeps the addresses of the values
};

}  // namespace msb::cli
