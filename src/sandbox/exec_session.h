// ExecHandle::State: one process in the guest, over a connection of its own.
//
// Flow control. The guest may send wire::kStreamWindow bytes on each of stdout and stderr
// beyond what the caller has taken with recv(); half a window taken is granted again. So a
// caller that stops reading stops the process, and memory stays below two windows. A guest
// that ignores its window ends the session.
//
// Threads. At most one thread reads the socket at a time: whoever needs an event or credit
// takes the role when it is free, and else waits for the one that has it (pump()).
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>

#include <microsandbox/exec.h>

#include "sandbox/agent_connection.h"

namespace msb {

struct [[gnu::visibility("hidden")]] ExecHandle::State {
 public:
  // Sends the request and returns at once; whether the process started shows in the events.
  // `sandbox` is its name, for messages.
  static Result<std::unique_ptr<State>> start(std::string sandbox, AgentConnection connection,
                                              wire::ExecRequest request, const ExecOptions& options);
  State(std::string sandbox, AgentConnection connection, wire::ExecRequest request);

  // The next event, waiting until `deadline`: nullopt when it passes, and after the exit.
  Result<std::optional<ExecEvent>> next_event(const Deadline& deadline);
  bool finished() const;
  // Kills the process after this long, counted from now; recv() then ends with exec_timeout.
  void limit_time(std::chrono::milliseconds timeout);
  std::chrono::milliseconds time_limit() const { return timeout_; }

  Result<> write_stdin(std::string_view bytes);
  uint64_t stdin_room() const;
  Result<> close_stdin();
  template <class M>
  Result<> send_control(const M& message) {
    std::unique_lock lock(mutex_);
    if (over()) return {};
    return send(lock, wire::make_frame(id_, 0, message));
  }
  // The process goes on without this handle.
  Result<> detach();
  int poll_fd();

 private:
  using Lock = std::unique_lock<std::mutex>;
  bool over() const { return exited_ || detached_ || failure_.has_value(); }
  size_t unsent() const { return outbox_.size() - outbox_sent_; }
  // Lets the socket make progress, once: sends what waits, reads what came. Returns when anything may
  // have changed or the deadline passed; what goes wrong becomes failure_.
  void pump(Lock& lock, const Deadline& deadline);
  bool read_available();  // false when nothing was there
  Result<> dispatch(const wire::Frame& frame);
  Result<> output(ExecEvent::Kind kind, ByteView data);
  void push(ExecEvent event);
  void end(Error error);
  void queue(const Bytes& frame);
  void flush();                                   // as far as the socket takes it now
  Result<> send(Lock& lock, const Bytes& frame);  // all of it
  void feed_stdin();
  ExecEvent take_event();
  Error timeout_error() const;
  void check_time();
  void update_poll();

  struct Window {
    uint64_t allowance = wire::kStreamWindow;  // what the guest may still send
    uint64_t taken = 0;                        // taken by the caller, not yet granted again
  };

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  const std::string sandbox_;
  AgentConnection connection_;
  wire::ExecRequest request_;
  uint32_t id_;
  bool reading_ = false;  // some thread is in poll() for everybody
  std::deque<ExecEvent> events_;
  Bytes outbox_;
  size_t outbox_sent_ = 0;
  Window out_;
  Window err_;
  uint64_t stdin_credit_ = 0;
  bool stdin_open_ = false;    // the caller may still write
  bool stdin_broken_ = false;  // the process closed its end
  std::string stdin_bytes_;    // StdinMode::bytes: still to be sent
  size_t stdin_bytes_sent_ = 0;
  bool stdin_feeding_ = false;
  bool started_ = false;
  bool exited_ = false;
  bool exit_taken_ = false;
  bool detached_ = false;
  std::optional<Error> failure_;
  std::chrono::milliseconds timeout_{};
  Deadline deadline_;  // of the time limit, then of the drain that follows it
  bool timed_out_ = false;
  // For poll_fd(): an epoll instance over the socket, `queued_` (readable while events wait) and the
  // time limit's timer.
  Fd epoll_;
  Fd queued_;
  Fd timer_;
};

}  // namespace msb
