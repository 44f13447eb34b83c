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

// What is wrong with a value of the command line is wrong usage, which has an exit code of its own: kExitUsage.
Error wrong_usage(Error error);
Error wrong_usage(std::string message);
template <class T>
Result<T> usage(Result<T> judged) {
  // Other kinds are no verdict on the value (a host without memory, a file that cannot be read).
  if (judged ||
      (judged.error().kind() != ErrorKind::invalid_config && judged.error().kind() != ErrorKind::network_policy))
    return judged;
  return fail(wrong_usage(std::move(judged).error()));
}

// Sandboxes named on the command line: a name that none could have is wrong usage, before any of them is touched.
Result<> check_names(const std::vector<std::string>& names);

// An option that may be given again takes one word each time, so that it does not swallow what follows it.
CLI::Option* add_repeatable(CLI::App& command, const std::string& names, std::vector<std::string>& target,
                            const std::string& description);

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
