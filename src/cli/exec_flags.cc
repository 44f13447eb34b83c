#include "cli/exec_flags.h"

#include "base/units.h"
#include "cli/output.h"
#include "cli/pump.h"
#include "cli/sandbox_flags.h"

namespace msb::cli {

void SessionFlags::add_to(CLI::App& command) {
  auto* tty = command.add_flag("-t,--tty", tty_, "Demand a terminal");
  command.add_flag("--no-tty", no_tty_, "Plain streams even on a terminal")->excludes(tty);
  command.add_option("--timeout", timeout_, "Kill the command after this long, e.g. 30s");
  command.add_option("--detach-keys", detach_keys_, "Keys that leave the session (ctrl-])");
}

Result<bool> SessionFlags::interactive() const {
  if (tty_ && !stdin_is_terminal())
    return fail(Error(ErrorKind::terminal, "--tty needs a terminal on standard input").hint("leave --tty out"));
  return !no_tty_ && stdin_is_terminal() && (tty_ || stdout_is_terminal());
}

Result<SessionFlags::Outcome> SessionFlags::run(Sandbox& sandbox, const std::vector<std::string>& argv,
                                                ExecOptions options) const {
  std::optional<std::chrono::milliseconds> timeout;
  if (!timeout_.empty()) {
    MSB_TRY(timeout, parse_duration(timeout_));
  }
  options.args.assign(argv.begin() + 1, argv.end());
  MSB_TRY(bool on_terminal, interactive());
  if (on_terminal) {
    options.tty = true;
    options.timeout = timeout;
    MSB_TRY(auto outcome, sandbox.attach(argv[0], {.exec = options, .detach_keys = detach_keys_}));
    return Outcome{outcome.exit_code, outcome.detached};
  }
  options.stdin_mode = StdinMode::pipe;
  MSB_TRY(auto handle, sandbox.exec_stream(argv[0], options));
  MSB_TRY(int code, pump(handle, timeout));
  return Outcome{code, false};
}

void ProcessFlags::add_to(CLI::App& command) {
  command.add_option("-e,--env", env_, "KEY=VALUE, or KEY to copy the host's value")
      ->type_size(1)
      ->allow_extra_args(false)
      ->type_name("");
  command.add_option("-w,--workdir", workdir_, "Working directory in the guest");
  command.add_option("-u,--user", user_, "USER|UID[:GROUP|GID]");
  command.add_option("--rlimit", rlimits_, "RESOURCE=SOFT[:HARD]")
      ->type_size(1)
      ->allow_extra_args(false)
      ->type_name("");
}

Result<ExecOptions> ProcessFlags::options() const {
  ExecOptions options;
  for (const auto& text : env_) {
    MSB_TRY(auto variable, parse_env(text));
    options.env.push_back(std::move(variable));
  }
  if (!workdir_.empty()) options.cwd = workdir_;
  if (!user_.empty()) options.user = user_;
  MSB_TRY(options.rlimits, parse_rlimits(rlimits_));
  return options;
}

}  // namespace msb::cli
