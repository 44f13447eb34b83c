// The command line: the commands with their options, and the tree printer.
#pragma once

#include <memory>
#include <string>

#include "cli/invocation.h"

namespace msb::cli {

// Knows the command that the line begins with; all of them when it begins with none.
std::unique_ptr<CLI::App> make_app(Invocation& invocation);

// Splits at the first "--", so that the guest's words never reach the option parser.
Invocation split_arguments(int argc, char** argv);

// The commands and options below `app`, as an indented tree.
std::string command_tree(const CLI::App& app);

// Parses and runs. Returns the exit code.
int run_app(Invocation& invocation);

}  // namespace msb::cli
