#include "agent/session.h"

#include <csignal>

namespace msb::agent {

void Session::begin(pid_t pid, std::unique_ptr<Input> input, std::unique_ptr<Output> output,
                    std::unique_ptr<Output> errors) {
  pid_ = pid;
  input_ = std::move(input);
  output_ = std::move(output);
  errors_ = std::move(errors);
  output_->start();
  if (errors_) errors_->start();
  started_ = true;
}

bool Session::write_input(ByteView data) {
  if (!input_) return true;
  if (!data.empty()) return input_->write(data);
  input_->finish();
  return true;
}

void Session::grant(wire::Stream stream, uint64_t bytes) {
  if (stream == wire::Stream::out) output_->grant(bytes);
  if (stream == wire::Stream::err && errors_) errors_->grant(bytes);
}

void Session::signal(int signal) {
  // Once reaped, the number may be somebody else's.
  if (exited_ || signal < 0 || signal > SIGRTMAX) return;
  if (signal == SIGKILL) killed_ = true;
  ::kill(-pid_, signal);
}

void Session::channel_drained() {
  output_->resume();
  // The first may have finished the session.
  if (errors_) errors_->resume();
}

void Session::detach() {
  attached_ = false;
  if (input_) input_->close();
  output_->discard();
  if (errors_) errors_->discard();
}

void Session::exited(int wait_status, bool oom_killed) {
  exited_ = true;
  on_exit(wait_status, oom_killed);
  if (input_) input_->close();
  output_->end();
  if (errors_) errors_->end();
  finish_if_done();
}

void Session::finish_if_done() {
  if (!started_ || !exited_ || !on_finished_) return;
  if (!output_->closed() || (errors_ && !errors_->closed())) return;
  auto finished = std::exchange(on_finished_, nullptr);
  if (attached_) send_outcome();
  finished(*this);
}

}  // namespace msb::agent
