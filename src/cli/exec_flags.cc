#include "cli/exec_flags.h"

#include <cstdlib>

#include "base/units.h"
#include "cli/output.h"
#include "cli/pump.h"

namespace msb::cli {

void SessionFlags::add_to(CLI::App& command) {
  auto* tty = command.add_flag("-t,--tty", tty_, "Demand a terminal");
  command.add_flag("--no-tty", no_tty_, "Plain streams even on a terminal")->excludes(tty);
  command.add_option("--timeout", timeout_, "Kill the command after this long, e.g. 30s");
  command.add_option("--detach-keys", detach_keys_, "Keys that leave the session (ctrl-])");
}

Result<std::optional<std::chrono::milliseconds>> SessionFlags::timeout() const {
  std::optional<std::chrono::milliseconds> limit;
  if (!timeout_.empty()) {
    MSB_TRY(limit, usage(parse_duration(timeout_)));
  }
  return limit;
}

Result<> SessionFlags::check() const {
  MSB_CHECK(usage(validate_detach_keys(detach_keys_)));
  return timeout().map([](const auto&) {});
}

Result<bool> SessionFlags::interactive() const {
  if (tty_ && !stdin_is_terminal())
    return fail(Error(ErrorKind::terminal, "--tty needs a terminal on standard input").hint("leave --tty out"));
  return !no_tty_ && stdin_is_terminal() && (tty_ || stdout_is_terminal());
}

Result<SessionFlags::Outcome> SessionFlags::run(Sandbox& sandbox, const std::vector<std::string>& argv,
                                                ExecOptions options) const {
  MSB_TRY(auto limit, timeout());
  options.args.assign(argv.begin() + 1, argv.end());
  MSB_TRY(bool on_terminal, interactive());
  if (on_terminal) {
    options.tty = true;
    options.timeout = limit;
    MSB_TRY(auto outcome, usage(sandbox.attach(argv[0], {.exec = options, .detach_keys = detach_keys_})));
    return Outcome{outcome.exit_code, outcome.detached};
  }
  options.stdin_mode = StdinMode::pipe;
  MSB_TRY(auto handle, usage(sandbox.exec_stream(argv[0], options)));
  MSB_TRY(int code, pump(handle, limit));
  return Outcome{code, false};
}

void ProcessFlags::add_to(CLI::App& command) {
  add_repeatable(command, "-e,--env", env_, "KEY=VALUE, or KEY to copy the host's value");
  command.add_option("-w,--workdir", workdir_, "Working directory in the guest");
  command.add_option("-u,--user", user_, "USER|UID[:GROUP|GID]");
  add_repeatable(command, "--rlimit", rlimits_, "RESOURCE=SOFT[:HARD], e.g. nofile=1024");
}

Result<std::pair<std::string, std::string>> parse_env(const std::string& text) {
  auto equals = text.find('=');
  if (equals == 0 || text.empty())
    return fail(ErrorKind::invalid_config, cat("--env '", text, "' has no name; write KEY=VALUE"));
  if (equals != std::string::npos) return std::pair(text.substr(0, equals), text.substr(equals + 1));
  const char* value = std::getenv(text.c_str());  // NOLINT(concurrency-mt-unsafe): before any thread starts
  if (!value)
    return fail(Error(ErrorKind::invalid_config, cat("--env ", text, ": that variable is not set here"))
                    .hint(cat("give it a value: --env ", text, "=VALUE")));
  return std::pair(text, std::string(value));
}

Result<ExecOptions> ProcessFlags::options() const {
  ExecOptions options;
  for (const auto& text : env_) {
    MSB_TRY(auto variable, usage(parse_env(text)));
    options.env.push_back(std::move(variable));
  }
  if (!workdir_.empty()) options.cwd = workdir_;
  if (!user_.empty()) options.user = user_;
  for (const auto& text : rlimits_) {
    MSB_TRY(auto limit, usage(ResourceLimit::parse(text)));
    options.rlimits.push_back(std::move(limit));
  }
  return options;
}

}  // namespace msb::cli
