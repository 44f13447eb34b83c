// The flags that give a sandbox scripts of its own: --script, --script-raw, --script-path.
#pragma once

#include <string>
#include <vector>

#include <microsandbox/config.h>

#include "cli/invocation.h"

namespace msb::cli {

class ScriptFlags {
 public:
  void add_to(CLI::App& command);
  // The shell is for the first line of scripts that are given as text.
  Result<std::vector<Script>> scripts(const std::string& shell) const;

 private:
  std::vector<std::string> texts_;
  std::vector<std::string> raw_;
  std::vector<std::string> paths_;
};

// \n \t \r \\ \" \' stand for what they do in C; other backslashes stay.
std::string decode_escapes(std::string_view text);

}  // namespace msb::cli
