// msb run: a sandbox for one command, or (named, or with -d) one that stays.
#include "cli/commands.h"
#include "cli/exec_flags.h"
#include "cli/output.h"
#include "cli/pull_display.h"
#include "cli/sandbox_flags.h"

namespace msb::cli {
namespace {

struct RunCommand {
  SandboxFlags flags;
  SessionFlags session;
  bool detach = false;

  Result<int> run(const std::vector<std::string>& words);
  Result<Sandbox> obtain(SandboxConfig config);
  Result<std::vector<std::string>> resolve_command(const Sandbox& sandbox, const std::vector<std::string>& words);
};

// A named sandbox that exists is used again, as it is.
Result<Sandbox> RunCommand::obtain(SandboxConfig config) {
  if (!config.name.empty() && !flags.replaces()) {
    auto existing = Sandbox::get(config.name);
    if (existing) {
      if (flags.has_creation_flags() || existing->image != flags.image())
        warn(flags.quiet(), cat("sandbox '", config.name, "' exists with image ", existing->image,
                                "; it is used as it is (--replace makes it anew)"));
      if (existing->status == SandboxStatus::running) return Sandbox::connect(config.name);
      return Sandbox::start(config.name, detach);
    }
    if (existing.error().kind() != ErrorKind::sandbox_not_found) return fail(std::move(existing).error());
  }
  PullDisplay display(flags.quiet());
  return Sandbox::create(std::move(config), display.callback());
}

Result<std::vector<std::string>> RunCommand::resolve_command(const Sandbox& sandbox,
                                                             const std::vector<std::string>& words) {
  auto command = words.empty() ? sandbox.default_command() : sandbox.default_command(words);
  if (command) return command;
  MSB_TRY(bool interactive, session.interactive());
  if (command.error().kind() == ErrorKind::no_default_command && interactive)
    return std::vector<std::string>{sandbox.shell_path()};
  return command;
}

Result<int> RunCommand::run(const std::vector<std::string>& words) {
  MSB_TRY(auto config, flags.config());
  MSB_CHECK(session.check());
  flags.warn_of(config);
  config.ephemeral = config.name.empty() && !detach;
  config.detached = detach;
  if (detach) {
    // Empty: the image's own command. See SandboxConfig::startup_command.
    config.startup_command = words;
    config.keep_after_startup_success = words.empty();
  }
  MSB_TRY(auto sandbox, obtain(std::move(config)));
  if (detach) {
    print_line(sandbox.name());
    return 0;
  }
  auto outcome = [&]() -> Result<SessionFlags::Outcome> {
    MSB_TRY(auto argv, resolve_command(sandbox, words));
    return session.run(sandbox, argv, {});
  }();
  if (outcome && outcome->detached) {
    sandbox.detach();
    success(flags.quiet(), "Detached", sandbox.name());
    return 0;
  }
  auto ended = sandbox.finish();
  if (!outcome) return fail(std::move(outcome).error());
  MSB_CHECK(ended);
  return outcome->exit_code;
}

}  // namespace

void add_run(CLI::App& root, Invocation& invocation) {
  auto* command = root.add_subcommand("run", "Run a command in a sandbox made from an image");
  auto state = std::make_shared<RunCommand>();
  state->flags.add_to(*command);
  state->session.add_to(*command);
  command->add_flag("-d,--detach", state->detach, "Leave the sandbox running and print its name");
  command->prefix_command();
  command->footer("Usage: msb run IMAGE [flags] [-- COMMAND...]");
  on_run(*command, invocation, [state, command, &invocation]() -> Result<int> {
    MSB_TRY(auto words, command_words(*command, invocation));
    return state->run(words);
  });
}

}  // namespace msb::cli
