// msb net check: what a sandbox's policy says to a destination.
#include <microsandbox/sandbox.h>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/output.h"

namespace msb::cli {
namespace {

struct Check {
  std::string sandbox;
  std::string target;
  std::string format;
};

void print_check(const NetworkTarget& target, const NetworkCheck& check, Format format) {
  if (format == Format::json) {
    return print_line(json_text(
        {{"destination", target.to_string()}, {"allowed", check.allowed}, {"rule", check.rule}, {"why", check.why}}));
  }
  print_line(cat(check.allowed ? "allowed  " : "denied   ", target.to_string()));
  print_line(cat("rule     ", check.rule));
  print_line(cat("why      ", check.why));
}

Result<int> run_check(const Check& check) {
  MSB_TRY(const Format format, parse_format(check.format));
  MSB_CHECK(check_names({check.sandbox}));
  MSB_TRY(const auto target, usage(NetworkTarget::parse(check.target)));
  MSB_TRY(const auto verdict, Sandbox::check_network(check.sandbox, target));
  print_check(target, verdict, format);
  return verdict.allowed ? 0 : kExitFailure;
}

}  // namespace

void add_net(CLI::App& root, Invocation& invocation) {
  auto* group = root.add_subcommand("net", "Look at a sandbox's network");
  group->require_subcommand(1);
  auto* command = group->add_subcommand("check", "Whether a sandbox may reach a destination, and which rule says so");
  auto check = std::make_shared<Check>();
  command->add_option("NAME", check->sandbox, "Sandbox")->required();
  command->add_option("DESTINATION", check->target, "ADDRESS or NAME[:PORT][/udp], port 443 and TCP if not given")
      ->required();
  command->add_option("--format", check->format, "table or json");
  command->footer("Exits with 0 when it is allowed, with 1 when it is denied.");
  on_run(*command, invocation, [check]() -> Result<int> { return run_check(*check); });
}

}  // namespace msb::cli
