#include "cli/invocation.h"

#include <cstdio>

#include <microsandbox/sandbox.h>

#include "cli/output.h"

namespace msb::cli {
namespace {

// Marks an error as wrong usage, which has an exit code of its own.
struct WrongUsage : ErrorDetail {};

int exit_code(const Error& error) {
  if (error.detail_as<WrongUsage>() != nullptr) return kExitUsage;
  if (const auto* failure = error.detail_as<ExecFailedDetail>()) {
    if (failure->reason == "not_found") return kExitNotFound;
    if (failure->reason == "permission_denied" || failure->reason == "not_executable") return kExitNotExecutable;
  }
  return kExitFailure;
}

}  // namespace

Error wrong_usage(Error error) {
  return std::move(error).detail(std::make_shared<WrongUsage>());
}

Error wrong_usage(std::string message) {
  return wrong_usage(Error(ErrorKind::invalid_config, std::move(message)));
}

Result<> check_names(const std::vector<std::string>& names) {
  for (const auto& name : names) MSB_CHECK(usage(validate_sandbox_name(name)));
  return {};
}

CLI::Option* add_repeatable(CLI::App& command, const std::string& names, std::vector<std::string>& target,
                            const std::string& description) {
  return command.add_option(names, target, description)->type_size(1)->allow_extra_args(false)->type_name("");
}

int report(const Error& error) {
  bool colors = stderr_has_colors();
  std::fprintf(stderr, "%s %s\n", colors ? "\x1b[1;31merror:\x1b[0m" : "error:", error.to_string().c_str());
  if (const auto* boot = error.detail_as<BootFailure>()) {
    if (!boot->kernel_lines.empty()) std::fprintf(stderr, "  the guest's last kernel lines:\n");
    for (const auto& line : boot->kernel_lines) std::fprintf(stderr, "    %s\n", printable(line).c_str());
  }
  for (const auto& hint : error.hints()) std::fprintf(stderr, "  → %s\n", hint.c_str());
  return exit_code(error);
}

Result<std::vector<std::string>> command_words(const CLI::App& command, const Invocation& invocation) {
  auto words = command.remaining();
  if (!words.empty() && words[0].size() > 1 && words[0][0] == '-')
    return fail(wrong_usage(cat("unknown option '", words[0], "'"))
                    .hint(cat("see `msb ", command.get_name(), " --help`; put `--` before the guest's command")));
  if (invocation.has_separator) {
    if (!words.empty()) return fail(wrong_usage(cat("unexpected word '", words[0], "' before `--`")));
    return invocation.trailing;
  }
  return words;
}

}  // namespace msb::cli
