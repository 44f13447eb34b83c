#include "cli/pump.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "base/fd.h"
#include "base/units.h"
#include "cli/signal_fd.h"

namespace msb::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Prints what has arrived. Returns the exit code once the process has ended.
Result<std::optional<int>> print_events(ExecHandle& handle) {
  while (true) {
    MSB_TRY(auto event, handle.try_recv());
    if (!event) return std::optional<int>();
    switch (event->kind) {
      case ExecEvent::Kind::stdout_data:
        MSB_CHECK(write_full(STDOUT_FILENO, as_bytes(event->data)));
        break;
      case ExecEvent::Kind::stderr_data:
        MSB_CHECK(write_full(STDERR_FILENO, as_bytes(event->data)));
        break;
      case ExecEvent::Kind::exited:
        if (event->oom_killed) {
          MSB_CHECK(write_full(STDERR_FILENO, as_bytes("msb: the guest ran out of memory and killed the process; "
                                                       "give the sandbox more with --memory\n")));
        }
        return std::optional<int>(event->code);
      default:
        break;
    }
  }
}

class StdinSource {
 public:
  bool open() const { return open_; }
  // Takes what is there, at most what the guest has room for.
  Result<> forward(ExecHandle& handle) {
    std::array<uint8_t, 65536> chunk;
    auto room = std::min<uint64_t>(chunk.size(), handle.stdin_room());
    auto count = read_some(STDIN_FILENO, MutableByteView(chunk).first(room));
    if (!count || *count == 0) {
      open_ = false;
      return handle.close_stdin();
    }
    return handle.write_stdin(as_text(ByteView(chunk).first(*count)));
  }

 private:
  bool open_ = true;
};

}  // namespace

Result<int> pump(ExecHandle& handle, std::optional<std::chrono::milliseconds> timeout) {
  MSB_TRY(auto signals, SignalFd::create());
  std::optional<SteadyClock::time_point> deadline;
  if (timeout && timeout->count() > 0) deadline = SteadyClock::now() + *timeout;
  bool timed_out = false;
  int signals_seen = 0;
  StdinSource input;
  while (true) {
    MSB_TRY(auto exit_code, print_events(handle));
    if (exit_code) {
      if (!timed_out) return *exit_code;
      return fail(Error(ErrorKind::exec_timeout,
                        cat("the command did not finish within ", format_duration(*timeout), " and was killed"))
                      .hint("its output until then is printed above"));
    }
    // A negative descriptor is ignored by poll: stdin waits while the guest has no room.
    bool want_input = input.open() && handle.stdin_room() > 0;
    pollfd fds[3] = {
        {handle.poll_fd(), POLLIN, 0}, {signals.fd(), POLLIN, 0}, {want_input ? STDIN_FILENO : -1, POLLIN, 0}};
    int wait_ms = -1;
    if (deadline && !timed_out) {
      auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - SteadyClock::now()).count();
      wait_ms = static_cast<int>(std::clamp<int64_t>(left, 0, 1'000'000'000));
    }
    int ready = ::poll(fds, 3, wait_ms);
    if (ready < 0 && errno != EINTR) return fail_errno("wait for the command");
    if (ready == 0 && wait_ms >= 0) {
      timed_out = true;
      MSB_CHECK(handle.kill());
      continue;
    }
    if (fds[1].revents != 0) {
      int signal = signals.take();
      MSB_CHECK(handle.signal(++signals_seen >= 3 ? SIGKILL : signal));
    }
    if (fds[2].revents != 0) MSB_CHECK(input.forward(handle));
  }
}

}  // namespace msb::cli
