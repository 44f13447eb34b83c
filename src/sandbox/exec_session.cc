#include "sandbox/exec_session.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/units.h"
#include "sandbox/exec_request.h"

namespace msb {
namespace {

// After the kill that follows a timeout, how long the last output may take to arrive.
constexpr std::chrono::seconds kDrainTime{5};
// Small pieces of one stream are joined up to this size, so that a guest that sends single bytes
// cannot make the queue's bookkeeping larger than its data.
constexpr size_t kJoinBelow = 16 * 1024;

void arm(int timer, const Deadline& deadline) {
  itimerspec spec{};
  if (deadline) {
    auto since_epoch = std::chrono::duration_cast<std::chrono::nanoseconds>(deadline->time_since_epoch()).count();
    spec.it_value.tv_sec = static_cast<time_t>(since_epoch / 1'000'000'000);
    spec.it_value.tv_nsec = static_cast<long>(since_epoch % 1'000'000'000);
  }
  ::timerfd_settime(timer, TFD_TIMER_ABSTIME, &spec, nullptr);
}

}  // namespace

ExecHandle::State::State(std::string sandbox, AgentConnection connection, wire::ExecRequest request)
    : sandbox_(std::move(sandbox)),
      connection_(std::move(connection)),
      request_(std::move(request)),
      id_(connection_.first_id()) {}

Result<std::unique_ptr<ExecHandle::State>> ExecHandle::State::start(std::string sandbox, AgentConnection connection,
                                                                    wire::ExecRequest request,
                                                                    const ExecOptions& options) {
  auto state = std::make_unique<State>(std::move(sandbox), std::move(connection), std::move(request));
  state->stdin_open_ = options.stdin_mode == StdinMode::pipe;
  state->stdin_feeding_ = options.stdin_mode == StdinMode::bytes;
  if (state->stdin_feeding_) state->stdin_bytes_ = options.stdin_bytes;
  Bytes frame = wire::make_frame(state->id_, wire::kFlagSessionStart, state->request_);
  if (frame.size() > wire::kMaxFrameSize)
    return fail(Error(ErrorKind::invalid_config, "the arguments and environment of the command exceed 4 MiB")
                    .hint("pass large data on stdin"));
  MSB_CHECK(state->connection_.write(frame, deadline_after(kConnectTimeout)));
  if (options.timeout && options.timeout->count() > 0) state->limit_time(*options.timeout);
  return state;
}

void ExecHandle::State::limit_time(std::chrono::milliseconds timeout) {
  std::lock_guard lock(mutex_);
  timeout_ = timeout;
  deadline_ = deadline_after(timeout);
  if (timer_) arm(timer_.get(), deadline_);
}

bool ExecHandle::State::finished() const {
  std::lock_guard lock(mutex_);
  return exit_taken_ || detached_ || (failure_ && events_.empty());
}

Result<std::optional<ExecEvent>> ExecHandle::State::next_event(const Deadline& deadline) {
  Lock lock(mutex_);
  for (bool last = false;; last = has_passed(deadline)) {
    if (!events_.empty()) {
      ExecEvent event = take_event();
      if (event.kind == ExecEvent::Kind::exited && timed_out_) failure_ = timeout_error();
      if (failure_ && event.kind == ExecEvent::Kind::exited) return fail(*failure_);
      return event;
    }
    if (failure_) return fail(*failure_);
    if (exit_taken_ || detached_ || last) return std::nullopt;
    check_time();
    pump(lock, earlier(deadline, deadline_));
  }
}

ExecEvent ExecHandle::State::take_event() {
  ExecEvent event = std::move(events_.front());
  events_.pop_front();
  if (event.kind == ExecEvent::Kind::exited) exit_taken_ = true;
  bool is_out = event.kind == ExecEvent::Kind::stdout_data;
  if (is_out || event.kind == ExecEvent::Kind::stderr_data) {
    Window& window = is_out ? out_ : err_;
    window.taken += event.data.size();
    if (window.taken >= wire::kStreamWindow / 2 && !over()) {
      queue(wire::make_frame(id_, 0, wire::ExecCredit{is_out ? wire::Stream::out : wire::Stream::err, window.taken}));
      window.allowance += std::exchange(window.taken, 0);
      flush();
    }
  }
  update_poll();
  return event;
}

Error ExecHandle::State::timeout_error() const {
  auto detail = std::make_shared<ExecTimeoutDetail>();
  detail->timeout = timeout_;
  return Error(ErrorKind::exec_timeout, cat(request_.cmd, " did not end within ", format_duration(timeout_)))
      .hint("the process was killed; give it more time with timeout")
      .detail(std::move(detail));
}

void ExecHandle::State::check_time() {
  if (exited_ || !has_passed(deadline_)) return;
  if (timed_out_) return end(timeout_error());
  timed_out_ = true;
  queue(wire::make_frame(id_, 0, wire::ExecSignal{SIGKILL}));
  flush();
  deadline_ = deadline_after(kDrainTime);
  if (timer_) arm(timer_.get(), deadline_);
}

void ExecHandle::State::pump(Lock& lock, const Deadline& deadline) {
  if (reading_) {
    if (deadline) {
      changed_.wait_until(lock, *deadline);
    } else {
      changed_.wait(lock);
    }
    return;
  }
  flush();
  if (!read_available() && !has_passed(deadline)) {
    short events = static_cast<short>(POLLIN | (unsent() > 0 ? POLLOUT : 0));
    reading_ = true;
    lock.unlock();
    auto ready = wait_for(connection_.fd(), events, deadline);
    lock.lock();
    reading_ = false;
    if (!ready) end(std::move(ready).error());
    flush();
    read_available();
  }
  feed_stdin();
  update_poll();
  changed_.notify_all();
}

bool ExecHandle::State::read_available() {
  if (over()) return true;
  auto filled = connection_.fill();
  if (!filled) return end(std::move(filled).error()), true;
  if (*filled == AgentConnection::Fill::nothing) return false;
  if (*filled == AgentConnection::Fill::end) {
    end(Error(ErrorKind::runtime, cat("sandbox '", sandbox_, "' stopped while ", request_.cmd, " was running"))
            .hint(cat("see `msb logs --source system ", sandbox_, "` for the reason")));
    return true;
  }
  while (!over()) {
    auto frame = connection_.next();
    if (!frame) return end(std::move(frame).error()), true;
    if (!*frame) return true;
    if (auto handled = dispatch(**frame); !handled)
      return end(std::move(handled).error().context("the guest broke the agent protocol")), true;
  }
  return true;
}

Result<> ExecHandle::State::dispatch(const wire::Frame& frame) {
  if (frame.id != id_) return {};
  MSB_TRY(auto envelope, wire::open_envelope(frame.body));
  if (envelope.type == wire::ExecStdout::kType) {
    MSB_TRY(auto message, wire::decode<wire::ExecStdout>(envelope.payload));
    return output(ExecEvent::Kind::stdout_data, message.data);
  }
  if (envelope.type == wire::ExecStderr::kType) {
    MSB_TRY(auto message, wire::decode<wire::ExecStderr>(envelope.payload));
    return output(ExecEvent::Kind::stderr_data, message.data);
  }
  if (envelope.type == wire::ExecCredit::kType) {
    MSB_TRY(auto message, wire::decode<wire::ExecCredit>(envelope.payload));
    // A sum that would overflow is a guest's nonsense; this much is as good as no limit.
    constexpr uint64_t kPlenty = uint64_t{1} << 40;
    if (message.stream == wire::Stream::in)
      stdin_credit_ = std::min(kPlenty, stdin_credit_ + std::min(kPlenty, message.bytes));
    return {};
  }
  if (envelope.type == wire::ExecStarted::kType) {
    MSB_TRY(auto message, wire::decode<wire::ExecStarted>(envelope.payload));
    if (started_) return fail(ErrorKind::protocol, "a process started twice");
    started_ = true;
    stdin_credit_ = message.stdin_window;
    push({.kind = ExecEvent::Kind::started, .pid = message.pid, .data = {}});
    return {};
  }
  if (envelope.type == wire::ExecStdinError::kType) {
    MSB_TRY(auto message, wire::decode<wire::ExecStdinError>(envelope.payload));
    if (stdin_broken_) return {};
    stdin_broken_ = true;
    stdin_feeding_ = false;
    push({.kind = ExecEvent::Kind::stdin_error, .data = std::move(message.message), .code = message.errnum});
    return {};
  }
  if (envelope.type == wire::ExecExited::kType) {
    MSB_TRY(auto message, wire::decode<wire::ExecExited>(envelope.payload));
    exited_ = true;
    push({.kind = ExecEvent::Kind::exited, .data = {}, .code = message.code, .oom_killed = message.oom_killed});
    return {};
  }
  if (envelope.type == wire::ExecFailed::kType) {
    MSB_TRY(auto message, wire::decode<wire::ExecFailed>(envelope.payload));
    end(exec_failure(request_, message));
    return {};
  }
  if (envelope.type == wire::ProtocolError::kType) {
    MSB_TRY(auto message, wire::decode<wire::ProtocolError>(envelope.payload));
    end(Error(ErrorKind::protocol, cat("the guest refused a message: ", message.message, " (", message.kind, ")")));
  }
  return {};
}

Result<> ExecHandle::State::output(ExecEvent::Kind kind, ByteView data) {
  Window& window = kind == ExecEvent::Kind::stdout_data ? out_ : err_;
  if (data.size() > window.allowance) return fail(ErrorKind::protocol, "more output than its window allows");
  if (data.empty()) return {};
  window.allowance -= data.size();
  if (!events_.empty() && events_.back().kind == kind && events_.back().data.size() < kJoinBelow) {
    events_.back().data.append(as_text(data));
    return {};
  }
  push({.kind = kind, .data = std::string(as_text(data))});
  return {};
}

void ExecHandle::State::push(ExecEvent event) {
  events_.push_back(std::move(event));
}

void ExecHandle::State::end(Error error) {
  if (over()) return;
  failure_ = std::move(error);
}

void ExecHandle::State::queue(const Bytes& frame) {
  if (unsent() == 0) outbox_.clear(), outbox_sent_ = 0;
  outbox_.insert(outbox_.end(), frame.begin(), frame.end());
}

void ExecHandle::State::flush() {
  while (unsent() > 0) {
    auto count = connection_.try_write(ByteView(outbox_).subspan(outbox_sent_));
    // A closed connection shows on the reading side, after what is still to be read.
    if (!count) return outbox_.clear(), void(outbox_sent_ = 0);
    if (*count == 0) return;
    outbox_sent_ += *count;
  }
}

Result<> ExecHandle::State::send(Lock& lock, const Bytes& frame) {
  queue(frame);
  flush();
  while (unsent() > 0 && !over()) {
    if (!reading_) {
      pump(lock, deadline_after(kConnectTimeout));
      continue;
    }
    lock.unlock();
    auto ready = wait_for(connection_.fd(), POLLOUT, deadline_after(kConnectTimeout));
    lock.lock();
    if (!ready) return fail(std::move(ready).error());
    flush();
  }
  return {};
}

void ExecHandle::State::feed_stdin() {
  if (!stdin_feeding_ || !started_ || over()) return;
  while (unsent() == 0 && stdin_credit_ > 0 && stdin_bytes_sent_ < stdin_bytes_.size()) {
    size_t count =
        std::min({wire::kMaxChunk, static_cast<size_t>(stdin_credit_), stdin_bytes_.size() - stdin_bytes_sent_});
    auto piece = as_bytes(std::string_view(stdin_bytes_).substr(stdin_bytes_sent_, count));
    queue(wire::make_frame(id_, 0, wire::ExecStdin{piece}));
    stdin_bytes_sent_ += count;
    stdin_credit_ -= count;
    flush();
  }
  if (stdin_bytes_sent_ < stdin_bytes_.size()) return;
  stdin_feeding_ = false;
  stdin_bytes_ = {};
  queue(wire::make_frame(id_, 0, wire::ExecStdin{}));
  flush();
}

Result<> ExecHandle::State::write_stdin(std::string_view bytes) {
  Lock lock(mutex_);
  if (!stdin_open_) return fail(ErrorKind::invalid_config, "stdin is closed; ask for StdinMode::pipe to write to it");
  while (!bytes.empty()) {
    if (failure_) return fail(*failure_);
    if (exited_ || stdin_broken_ || detached_)
      return fail(Error::from_errno(EPIPE, cat("write to the stdin of ", request_.cmd)));
    if (stdin_credit_ == 0) {
      check_time();
      pump(lock, deadline_);
      continue;
    }
    size_t count = std::min({wire::kMaxChunk, static_cast<size_t>(stdin_credit_), bytes.size()});
    stdin_credit_ -= count;
    MSB_CHECK(send(lock, wire::make_frame(id_, 0, wire::ExecStdin{as_bytes(bytes.substr(0, count))})));
    bytes.remove_prefix(count);
  }
  return {};
}

uint64_t ExecHandle::State::stdin_room() const {
  std::lock_guard lock(mutex_);
  return stdin_open_ && !stdin_broken_ && !over() ? stdin_credit_ : 0;
}

Result<> ExecHandle::State::close_stdin() {
  Lock lock(mutex_);
  if (!std::exchange(stdin_open_, false) || over()) return {};
  return send(lock, wire::make_frame(id_, 0, wire::ExecStdin{}));
}

Result<> ExecHandle::State::detach() {
  Lock lock(mutex_);
  if (over()) return {};
  MSB_CHECK(send(lock, wire::make_frame(id_, 0, wire::ExecDetach{})));
  detached_ = true;
  return {};
}

int ExecHandle::State::poll_fd() {
  std::lock_guard lock(mutex_);
  if (epoll_) return epoll_.get();
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  Fd queued(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  Fd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!epoll || !queued || !timer) return -1;
  for (int fd : {connection_.fd(), queued.get(), timer.get()}) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) < 0) return -1;
  }
  epoll_ = std::move(epoll);
  queued_ = std::move(queued);
  timer_ = std::move(timer);
  arm(timer_.get(), deadline_);
  update_poll();
  return epoll_.get();
}

void ExecHandle::State::update_poll() {
  if (!epoll_) return;
  uint64_t value = 1;
  if (!events_.empty() || failure_) {
    [[maybe_unused]] auto ignored = ::write(queued_.get(), &value, sizeof(value));
  } else {
    [[maybe_unused]] auto ignored = ::read(queued_.get(), &value, sizeof(value));
  }
  if (over()) {
    // A hang-up of the finished connection must not keep the descriptor readable.
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection_.fd(), nullptr);
    return;
  }
  epoll_event event{.events = EPOLLIN | (unsent() > 0 ? EPOLLOUT : 0u), .data = {.fd = connection_.fd()}};
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection_.fd(), &event);
}

}  // namespace msb
