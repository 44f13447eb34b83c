#include "sandbox/attach.h"

#include <algorithm>
#include <csignal>

#include "base/cleanup.h"
#include "base/reactor.h"
#include "sandbox/detach_keys.h"
#include "sandbox/terminal.h"

namespace msb {
namespace {

// Typed but not yet taken by the process. Beyond this the terminal is not read, so detach keys wait too.
constexpr size_t kMaxTyped = 4096;

// Restores the thread's signal mask, then raises the signal that ended the session, so that it does what it
// would have done: nothing here changes how the host program handles signals.
class SignalScope {
 public:
  SignalScope() { ::pthread_sigmask(SIG_SETMASK, nullptr, &saved_); }
  SignalScope(const SignalScope&) = delete;
  SignalScope& operator=(const SignalScope&) = delete;
  ~SignalScope() {
    ::pthread_sigmask(SIG_SETMASK, &saved_, nullptr);
    if (pending_) ::raise(pending_);
  }
  // A signal that the program ignores ends nothing.
  static bool ends_session(int signal) {
    struct sigaction action{};
    return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_IGN;
  }
  void raise_later(int signal) { pending_ = signal; }

 private:
  sigset_t saved_{};
  int pending_ = 0;
};

class Attached {
 public:
  Attached(ExecHandle::State& session, DetachKeys keys, const TerminalFds& fds, SignalScope& signals)
      : session_(session), keys_(std::move(keys)), fds_(fds), signals_(signals), size_(terminal_size(fds.output)) {}

  Result<AttachOutcome> run() {
    MSB_TRY(reactor_, Reactor::create());
    MSB_TRY(signal_watch_, SignalWatch::create(*reactor_, {SIGWINCH, SIGTERM, SIGINT, SIGHUP},
                                               [this](int signal) { keep(on_signal(signal)); }));
    int events = session_.poll_fd();
    if (events < 0) return fail(ErrorKind::io, "no descriptors are left to watch the session");
    MSB_TRY(session_watch_, reactor_->watch(events, EPOLLIN, [this](uint32_t) { keep(on_session()); }));
    MSB_TRY(input_watch_, reactor_->watch(fds_.input, EPOLLIN, [this](uint32_t) { keep(on_input()); }));
    MSB_CHECK(reactor_->run());
    if (error_) return fail(std::move(*error_));
    return outcome_;
  }

 private:
  void keep(Result<> result) {
    if (result) return;
    if (!error_) error_ = std::move(result).error();
    reactor_->stop();
  }

  Result<> on_session() {
    while (true) {
      MSB_TRY(auto event, session_.next_event(Clock::now()));
      if (!event) break;
      switch (event->kind) {
        case ExecEvent::Kind::stdout_data:
        case ExecEvent::Kind::stderr_data:
          MSB_CHECK(write_full(fds_.output, as_bytes(event->data)));
          break;
        case ExecEvent::Kind::exited:
          outcome_.exit_code = event->code;
          reactor_->stop();
          return {};
        case ExecEvent::Kind::started:
        case ExecEvent::Kind::stdin_error:
          break;
      }
    }
    return pass_typed();
  }

  Result<> on_input() {
    // Also the place where a resize shows whose signal went to another thread of the program.
    MSB_CHECK(update_size());
    uint8_t buffer[1024];
    auto count = read_some(fds_.input, buffer);
    if (!count && count.error().errnum() == EAGAIN) return {};
    if (!count || *count == 0) return fail(ErrorKind::terminal, "the terminal was closed");
    auto typed = keys_.feed(as_text(ByteView(buffer).first(*count)));
    typed_ += typed.passed;
    if (typed.detached) {
      outcome_.detached = true;
      MSB_CHECK(session_.detach());
      reactor_->stop();
      return {};
    }
    return pass_typed();
  }

  Result<> pass_typed() {
    size_t count = std::min<size_t>(typed_.size(), session_.stdin_room());
    if (count > 0) {
      auto written = session_.write_stdin(std::string_view(typed_).substr(0, count));
      // The process closed its end: what is typed has no reader, the session goes on.
      if (!written && written.error().errnum() != EPIPE) return written;
      typed_.erase(0, count);
    }
    return input_watch_.set_events(typed_.size() < kMaxTyped ? EPOLLIN : 0);
  }

  Result<> on_signal(int signal) {
    if (signal == SIGWINCH) return update_size();
    if (!SignalScope::ends_session(signal)) return {};
    signals_.raise_later(signal);
    return fail(ErrorKind::cancelled, "the session was interrupted by a signal");
  }

  Result<> update_size() {
    auto size = terminal_size(fds_.output);
    if (!size || size == size_) return {};
    size_ = size;
    return session_.send_control(wire::ExecResize{size->rows, size->cols});
  }

  ExecHandle::State& session_;
  DetachKeys keys_;
  TerminalFds fds_;
  SignalScope& signals_;
  std::optional<TerminalSize> size_;
  std::string typed_;
  AttachOutcome outcome_;
  std::optional<Error> error_;
  std::unique_ptr<Reactor> reactor_;
  std::unique_ptr<SignalWatch> signal_watch_;
  Reactor::Watch session_watch_;
  Reactor::Watch input_watch_;
};

}  // namespace

ExecOptions interactive(ExecOptions options, const TerminalFds& fds) {
  options.tty = true;
  options.stdin_mode = StdinMode::pipe;
  if (auto size = terminal_size(fds.output)) {
    options.rows = size->rows;
    options.cols = size->cols;
  }
  bool has_term = std::any_of(options.env.begin(), options.env.end(), [](const auto& e) { return e.first == "TERM"; });
  const char* term = ::getenv("TERM");
  if (!has_term && term && *term) options.env.insert(options.env.begin(), {"TERM", term});
  return options;
}

Result<AttachOutcome> run_attached(ExecHandle::State& session, const std::string& detach_keys, const TerminalFds& fds) {
  MSB_TRY(DetachKeys keys, DetachKeys::parse(detach_keys));
  // Order of life: the terminal is restored before the signals are let through.
  SignalScope signals;
  MSB_TRY(RawTerminal terminal, RawTerminal::enter(fds.input));
  return Attached(session, std::move(keys), fds, signals).run();
}

}  // namespace msb
