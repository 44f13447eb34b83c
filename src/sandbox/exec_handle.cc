#include <microsandbox/exec.h>

#include "sandbox/exec_session.h"

namespace msb {
namespace {

// What collect() keeps in memory at most; more is for exec_stream.
constexpr size_t kMaxCollected = size_t{1} << 30;

Error with_output(Error error, ExecOutput output) {
  const auto* known = error.detail_as<ExecTimeoutDetail>();
  if (!known) return error;
  auto detail = std::make_shared<ExecTimeoutDetail>();
  detail->timeout = known->timeout;
  detail->captured = std::move(output);
  return std::move(error).detail(std::move(detail));
}

}  // namespace

ExecTimeoutDetail::~ExecTimeoutDetail() = default;
ExecFailedDetail::~ExecFailedDetail() = default;

ExecHandle::ExecHandle(std::unique_ptr<State> state) : state_(std::move(state)) {}
ExecHandle::ExecHandle(ExecHandle&&) noexcept = default;
ExecHandle& ExecHandle::operator=(ExecHandle&&) noexcept = default;
// Closing the connection is what kills the process: the relay tells the agent, even when we die.
ExecHandle::~ExecHandle() = default;

Result<std::optional<ExecEvent>> ExecHandle::recv() {
  return state_->next_event(std::nullopt);
}
Result<std::optional<ExecEvent>> ExecHandle::try_recv() {
  return state_->next_event(Clock::now());
}
int ExecHandle::poll_fd() const {
  return state_->poll_fd();
}
bool ExecHandle::finished() const {
  return state_->finished();
}
Result<> ExecHandle::write_stdin(std::string_view bytes) {
  return state_->write_stdin(bytes);
}
uint64_t ExecHandle::stdin_room() const {
  return state_->stdin_room();
}
Result<> ExecHandle::close_stdin() {
  return state_->close_stdin();
}

Result<> ExecHandle::signal(int signal) {
  if (signal < 1 || signal > 64)
    return fail(ErrorKind::invalid_config, cat("signal ", signal, " does not exist; signals are 1 to 64"));
  return state_->send_control(wire::ExecSignal{signal});
}

Result<> ExecHandle::resize(uint16_t rows, uint16_t cols) {
  if (rows == 0 || cols == 0)
    return fail(ErrorKind::invalid_config, "a terminal needs at least one row and one column");
  return state_->send_control(wire::ExecResize{rows, cols});
}

Result<ExecOutput> ExecHandle::collect(std::optional<std::chrono::milliseconds> timeout) {
  if (timeout && timeout->count() > 0) state_->limit_time(*timeout);
  ExecOutput output;
  while (true) {
    auto event = state_->next_event(std::nullopt);
    if (!event) return fail(with_output(std::move(event).error(), std::move(output)));
    if (!*event) return output;
    switch ((*event)->kind) {
      case ExecEvent::Kind::stdout_data:
        output.stdout_bytes += (*event)->data;
        break;
      case ExecEvent::Kind::stderr_data:
        output.stderr_bytes += (*event)->data;
        break;
      case ExecEvent::Kind::exited:
        output.exit_code = (*event)->code;
        output.oom_killed = (*event)->oom_killed;
        break;
      case ExecEvent::Kind::started:
      case ExecEvent::Kind::stdin_error:
        break;
    }
    if (output.stdout_bytes.size() + output.stderr_bytes.size() > kMaxCollected) {
      (void)kill();
      return fail(Error(ErrorKind::runtime, "the command wrote more than 1 GiB")
                      .hint("read it piece by piece with exec_stream"));
    }
  }
}

}  // namespace msb
