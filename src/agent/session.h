// Session: one process that a client asked for, and its streams.
#pragma once

#include <functional>

#include "agent/input.h"
#include "agent/output.h"
#include "agent/spawn.h"

namespace msb::agent {

// What every process gets unless its request says otherwise; from core.bootstrap.
struct Defaults {
  std::vector<std::string> env;
  std::string workdir = "/";
  std::string user;
  std::vector<Limit> limits;
  std::string etc = "/etc";  // where the accounts are
};

class Session {
 public:
  // Starts the process and reports it (core.exec.started). `on_finished` is called once, when the last
  // frame has been sent; the session must not be destroyed before that call has returned.
  static tl::expected<std::unique_ptr<Session>, SpawnFailure> start(Reactor& reactor, Channel& channel, uint32_t id,
                                                                    const wire::ExecRequest& request,
                                                                    const Defaults& defaults,
                                                                    std::function<void(Session&)> on_finished);
  ~Session();

  uint32_t id() const { return id_; }
  pid_t pid() const { return pid_; }
  bool attached() const { return attached_; }

  // false: the client sent more than it was granted.
  bool write_stdin(ByteView data);
  void grant(wire::Stream stream, uint64_t bytes);
  void resize(uint32_t rows, uint32_t cols);
  void signal(int signal);
  void channel_drained();
  // No more frames; the process lives on, its output is dropped and its stdin is at its end.
  void detach();
  // The process has been reaped.
  void exited(int wait_status, bool oom_killed);
  bool was_killed_by_request() const { return killed_; }

 private:
  Session(Channel& channel, uint32_t id, std::function<void(Session&)> on_finished)
      : channel_(channel), id_(id), on_finished_(std::move(on_finished)) {}
  struct Ends;
  void finish_if_done();

  Channel& channel_;
  uint32_t id_;
  std::function<void(Session&)> on_finished_;
  pid_t pid_ = -1;
  bool attached_ = true;
  bool killed_ = false;
  bool started_ = false;
  std::optional<wire::ExecExited> outcome_;
  Fd terminal_;  // for resizing
  std::unique_ptr<Input> input_;
  std::unique_ptr<Output> output_;
  std::unique_ptr<Output> errors_;
};

}  // namespace msb::agent
