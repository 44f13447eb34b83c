// Invocation: what one run of msb carries from argv to the exit code.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace msb::cli {

struct Invocation {
  std::vector<std::string> program;   // argv[0] and everything before the first "--"
  std::vector<std::string> trailing;  // everything after it
  bool has_separator = false;         // there was a "--"
  int exit_code = 0;
};

inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitNotExecutable = 126;
inline constexpr int kExitNotFound = 127;

// Registers a command's body: it runs when CLI11 has parsed the whole line. `body` returns the
// exit code, or an Error, which is reported on stderr.
template <class Body>
void on_run(CLI::App& command, Invocation& invocation, Body body);

// Prints the error with its hints and returns the exit code that belongs to it.
int report(const Error& error);

// The command words of `run` and `exec`: after "--", or the first words CLI11 did not know.
Result<std::vector<std::string>> command_words(const CLI::App& command, const Invocation& invocation);

template <class Body>
void on_run(CLI::App& command, Invocation& invocation, Body body) {
  command.final_callback([&command, &invocation, body = std::move(body)]() mutable {
    // A group's own final callback must not run for `msb image ls`.
    if (!command.get_subcommands().empty()) return;
    Result<int> outcome = body();
    invocation.exit_code = outcome ? *outcome : report(outcome.error());
  });
}

}  // namespace msb::cli
