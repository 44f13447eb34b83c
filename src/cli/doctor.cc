// msb doctor: whether this host can run sandboxes, on one screen; msb version.
#include <cstdio>

#include <microsandbox/sandbox.h>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/output.h"

namespace msb::cli {
namespace {

std::string_view word(DoctorCheck::Verdict verdict) {
  switch (verdict) {
    case DoctorCheck::Verdict::ok:
      return "ok";
    case DoctorCheck::Verdict::warning:
      return "warning";
    case DoctorCheck::Verdict::failure:
      return "failure";
  }
  return "failure";
}

std::string_view mark(DoctorCheck::Verdict verdict) {
  switch (verdict) {
    case DoctorCheck::Verdict::ok:
      return "✓";
    case DoctorCheck::Verdict::warning:
      return "!";
    case DoctorCheck::Verdict::failure:
      return "✗";
  }
  return "✗";
}

}  // namespace

void add_doctor(CLI::App& root, Invocation& invocation) {
  auto* command = root.add_subcommand("doctor", "Check what this host can do, and boot a probe");
  auto no_probe = std::make_shared<bool>(false);
  auto format = std::make_shared<std::string>();
  command->add_flag("--no-probe", *no_probe, "Do not boot a probe machine");
  command->add_option("--format", *format, "table or json");
  on_run(*command, invocation, [no_probe, format]() -> Result<int> {
    MSB_TRY(auto form, parse_format(*format));
    MSB_TRY(auto checks, doctor(!*no_probe));
    bool failed = false;
    auto json = Json::array();
    for (const auto& check : checks) {
      failed = failed || check.verdict == DoctorCheck::Verdict::failure;
      json.push_back(
          {{"name", check.name}, {"verdict", word(check.verdict)}, {"detail", check.detail}, {"advice", check.advice}});
      if (form == Format::json) continue;
      print_line(cat(mark(check.verdict), " ", check.name,
                     std::string(check.name.size() < 16 ? 16 - check.name.size() : 1, ' '), check.detail));
      if (!check.advice.empty()) print_line(cat("    → ", check.advice));
    }
    if (form == Format::json) print_line(json_text(json));
    return failed ? kExitFailure : 0;
  });
}

void add_version(CLI::App& root, Invocation& invocation) {
  auto* command = root.add_subcommand("version", "Print the version");
  on_run(*command, invocation, []() -> Result<int> {
    print_line(cat("msb ", version()));
    return 0;
  });
}

}  // namespace msb::cli
