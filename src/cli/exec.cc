// msb exec and msb shell: commands in a sandbox that exists.
#include "cli/borrowed.h"
#include "cli/commands.h"
#include "cli/exec_flags.h"
#include "cli/output.h"

namespace msb::cli {
namespace {

Result<int> finish(Borrowed& borrowed, Result<SessionFlags::Outcome> outcome, Quiet quiet) {
  if (outcome && outcome->detached) {
    borrowed.sandbox.detach();
    success(quiet, "Detached", borrowed.sandbox.name());
    return 0;
  }
  auto ended = borrowed.give_back();
  if (!outcome) return fail(std::move(outcome).error());
  MSB_CHECK(ended);
  return outcome->exit_code;
}

struct ExecCommand {
  std::string name;
  ProcessFlags process;
  SessionFlags session;
  bool stream = false;
  bool quiet = false;

  void add_to(CLI::App& command) {
    command.add_option("NAME", name, "Sandbox")->required();
    process.add_to(command);
    session.add_to(command);
    command.add_flag("-q,--quiet", quiet, "No ticks");
  }

  // All that can be told to be wrong before a sandbox is started for the command.
  Result<ExecOptions> checked_options() const {
    MSB_CHECK(check_names({name}));
    MSB_CHECK(session.check());
    return process.options();
  }

  Result<int> run(const std::vector<std::string>& words) {
    MSB_TRY(auto options, checked_options());
    MSB_TRY(auto borrowed, Borrowed::get(name));
    auto outcome = [&]() -> Result<SessionFlags::Outcome> {
      auto argv = words;
      if (argv.empty()) {
        MSB_TRY(argv, default_argv(borrowed.sandbox));
      }
      return session.run(borrowed.sandbox, argv, options);
    }();
    return finish(borrowed, std::move(outcome), quiet ? Quiet::yes : Quiet::no);
  }

  Result<std::vector<std::string>> default_argv(const Sandbox& sandbox) const {
    MSB_TRY(bool interactive, session.interactive());
    if (interactive) return std::vector<std::string>{sandbox.shell_path()};
    return sandbox.default_command();
  }
};

}  // namespace

void add_exec(CLI::App& root, Invocation& invocation) {
  auto* command = root.add_subcommand("exec", "Run a command in a sandbox");
  auto state = std::make_shared<ExecCommand>();
  state->add_to(*command);
  command->add_flag("--stream", state->stream, "Accepted for compatibility: standard input always streams");
  command->prefix_command();
  command->footer("Usage: msb exec NAME [flags] [-- COMMAND...]");
  on_run(*command, invocation, [state, command, &invocation]() -> Result<int> {
    MSB_TRY(auto words, command_words(*command, invocation));
    return state->run(words);
  });
}

void add_shell(CLI::App& root, Invocation& invocation) {
  auto* command = root.add_subcommand("shell", "Open a shell in a sandbox, or run a script with it");
  auto state = std::make_shared<ExecCommand>();
  state->add_to(*command);
  command->prefix_command();
  command->footer("Usage: msb shell NAME [flags] [-- SCRIPT...]");
  on_run(*command, invocation, [state, command, &invocation]() -> Result<int> {
    MSB_TRY(auto words, command_words(*command, invocation));
    MSB_TRY(auto options, state->checked_options());
    MSB_TRY(auto borrowed, Borrowed::get(state->name));
    std::vector<std::string> argv{borrowed.sandbox.shell_path()};
    if (!words.empty()) {
      std::string script;
      for (const auto& word : words) script += (script.empty() ? "" : " ") + word;
      argv.insert(argv.end(), {"-c", script});
    }
    auto outcome = state->session.run(borrowed.sandbox, argv, options);
    return finish(borrowed, std::move(outcome), state->quiet ? Quiet::yes : Quiet::no);
  });
}

}  // namespace msb::cli
