#include "agent/exec_session.h"

#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "agent/environment.h"

namespace msb::agent {
namespace {

// Clients of generations before 8 send stdin without asking. More than this unread is a mistake.
constexpr size_t kUnwindowedInput = size_t{64} << 20;
// A terminal does not say reliably what it holds; it never holds more than this.
constexpr size_t kTerminalHolds = 128 * 1024;
// As many strings as the kernel would take at all: 2 MiB, at least a pointer and a byte each.
constexpr size_t kMaxStrings = 128 * 1024;

SpawnFailure failure(std::string_view kind, std::string_view stage, const Error& error) {
  return {kind, stage, error.errnum(), error.to_string()};
}

winsize window_size(uint32_t rows, uint32_t cols) {
  auto clamp = [](uint32_t value) { return static_cast<unsigned short>(value > 0xffff ? 0xffff : value); };
  return {clamp(rows), clamp(cols), 0, 0};
}

bool has_nul(const std::string& text) {
  return text.find('\0') != std::string::npos;
}

std::optional<SpawnFailure> refuse_arguments(const wire::ExecRequest& request) {
  auto bad = [](std::string why) { return SpawnFailure{"bad_args", "request", EINVAL, std::move(why)}; };
  if (request.cmd.empty()) return bad("the command is empty");
  if (request.args.size() + request.env.size() > kMaxStrings)
    return SpawnFailure{"bad_args", "request", E2BIG, "there are too many arguments and variables"};
  bool nul = has_nul(request.cmd) || (request.cwd && has_nul(*request.cwd));
  for (const auto* list : {&request.args, &request.env}) {
    for (const auto& text : *list) nul = nul || has_nul(text);
  }
  if (nul) return bad("an argument, variable or path contains a NUL byte");
  return std::nullopt;
}

tl::expected<SpawnRequest, SpawnFailure> prepare(const wire::ExecRequest& request, const Defaults& defaults) {
  if (auto refused = refuse_arguments(request)) return tl::unexpected(std::move(*refused));
  SpawnRequest spawn;
  spawn.argv = {request.cmd};
  spawn.argv.insert(spawn.argv.end(), request.args.begin(), request.args.end());
  auto user = lookup_user(request.user.value_or(defaults.user), defaults.etc);
  if (!user) return tl::unexpected(failure("user_setup_failed", "user", user.error()));
  spawn.user = std::move(*user);
  auto limits = parse_limits(request.rlimits);
  if (!limits) return tl::unexpected(failure("resource_limit", "rlimit", limits.error()));
  spawn.limits = defaults.limits;
  spawn.limits.insert(spawn.limits.end(), limits->begin(), limits->end());
  spawn.cwd = request.cwd && !request.cwd->empty() ? *request.cwd : defaults.workdir;
  spawn.env = merge_environment(defaults.env, request.env);
  set_default(spawn.env, "PATH", kDefaultPath);
  set_default(spawn.env, "HOME", spawn.user.home);
  if (request.tty) set_default(spawn.env, "TERM", "xterm");
  spawn.terminal = request.tty ? Terminal::yes : Terminal::no;
  return spawn;
}

// Makes a stdio descriptor usable by the process's user through /dev/stdout and the like.
void give_to(const Identity& user, int fd) {
  if (user.uid != 0) [[maybe_unused]]
    int ignored = ::fchown(fd, user.uid, static_cast<gid_t>(-1));
}

}  // namespace

// Both ends of the streams: ours, and the process's, which are closed once it runs.
struct ExecSession::Ends {
  Fd ours_in, ours_out, ours_err;
  Fd theirs[3];

  Result<> open_terminal(const wire::ExecRequest& request) {
    MSB_TRY(ours_out, open_file("/dev/ptmx", O_RDWR | O_NOCTTY));
    int unlock = 0;
    if (::ioctl(ours_out.get(), TIOCSPTLCK, &unlock) < 0) return fail_errno("unlock a terminal");
    theirs[0] = Fd(::ioctl(ours_out.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!theirs[0]) return fail_errno("open a terminal");
    auto size = window_size(request.rows, request.cols);
    if (::ioctl(ours_out.get(), TIOCSWINSZ, &size) < 0) return fail_errno("size a terminal");
    MSB_TRY(theirs[1], theirs[0].duplicate());
    MSB_TRY(theirs[2], theirs[0].duplicate());
    MSB_TRY(ours_in, ours_out.duplicate());
    return set_blocking(ours_out.get(), Blocking::no);
  }

  Result<> open_pipes(const wire::ExecRequest& request) {
    MSB_TRY(auto out, make_pipe());
    MSB_TRY(auto err, make_pipe());
    ours_out = std::move(out.read);
    theirs[1] = std::move(out.write);
    ours_err = std::move(err.read);
    theirs[2] = std::move(err.write);
    MSB_CHECK(set_blocking(ours_out.get(), Blocking::no));
    MSB_CHECK(set_blocking(ours_err.get(), Blocking::no));
    if (!request.stdin_open) {
      MSB_TRY(theirs[0], open_file("/dev/null", O_RDONLY));
      return {};
    }
    MSB_TRY(auto in, make_pipe());
    theirs[0] = std::move(in.read);
    ours_in = std::move(in.write);
    return set_blocking(ours_in.get(), Blocking::no);
  }
};

tl::expected<std::unique_ptr<Session>, SpawnFailure> ExecSession::start(Reactor& reactor, Channel& channel, uint32_t id,
                                                                        const wire::ExecRequest& request,
                                                                        const Defaults& defaults,
                                                                        std::function<void(Session&)> on_finished) {
  auto spawn_request = prepare(request, defaults);
  if (!spawn_request) return tl::unexpected(std::move(spawn_request).error());
  Ends ends;
  if (auto opened = request.tty ? ends.open_terminal(request) : ends.open_pipes(request); !opened) {
    bool limit = opened.error().errnum() == EMFILE || opened.error().errnum() == ENFILE;
    return tl::unexpected(failure(request.tty ? "pty_setup_failed"
                                  : limit     ? "resource_limit"
                                              : "other",
                                  "stdio", opened.error()));
  }
  for (int i = 0; i < 3; ++i) {
    give_to(spawn_request->user, ends.theirs[i].get());
    spawn_request->stdio[i] = ends.theirs[i].get();
  }
  auto pid = spawn(*spawn_request);
  if (!pid) return tl::unexpected(std::move(pid).error());

  std::unique_ptr<ExecSession> session(new ExecSession(Kind::process, channel, id, std::move(on_finished)));
  channel.send(id, 0, wire::ExecStarted{static_cast<uint32_t>(*pid), wire::kStreamWindow});
  std::unique_ptr<Input> input;
  if (ends.ours_in) {
    Input::Options options{
        request.tty ? Input::Kind::terminal : Input::Kind::pipe,
        request.window ? wire::kStreamWindow : kUnwindowedInput,
        [&channel, id](uint64_t bytes) { channel.send(id, 0, wire::ExecCredit{wire::Stream::in, bytes}); },
        [&channel, id](int errnum) {
          char text[64];
          channel.send(id, 0, wire::ExecStdinError{errnum, ::strerror_r(errnum, text, sizeof(text))});
        }};
    input = std::make_unique<Input>(reactor, std::move(ends.ours_in), std::move(options));
  }
  if (request.tty) {
    if (auto copy = ends.ours_out.duplicate()) session->terminal_ = std::move(*copy);
  }
  auto output = [&](Fd fd, std::string_view type) {
    return std::make_unique<Output>(reactor, channel, std::move(fd),
                                    Output::Options{id, type, request.window, request.tty ? kTerminalHolds : 0,
                                                    [raw = session.get()] { raw->finish_if_done(); }});
  };
  auto out = output(std::move(ends.ours_out), wire::ExecStdout::kType);
  std::unique_ptr<Output> err;
  if (ends.ours_err) err = output(std::move(ends.ours_err), wire::ExecStderr::kType);
  session->begin(*pid, std::move(input), std::move(out), std::move(err));
  return session;
}

void ExecSession::resize(uint32_t rows, uint32_t cols) {
  if (!terminal_) return;
  auto size = window_size(rows, cols);
  ::ioctl(terminal_.get(), TIOCSWINSZ, &size);
}

void ExecSession::on_exit(int wait_status, bool oom_killed) {
  int code = WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
  outcome_ = wire::ExecExited{code, oom_killed};
}

void ExecSession::send_outcome() {
  channel_.send(id(), wire::kFlagTerminal, outcome_);
}

}  // namespace msb::agent
