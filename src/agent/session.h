// Session: one child process that works for a client, and its streams. ExecSession is a process that the client asked
// for, FileSession a worker of ours that does an operation on files.
#pragma once

#include <functional>

#include "agent/input.h"
#include "agent/output.h"

namespace msb::agent {

class Session {
 public:
  enum class Kind { process, files };
  virtual ~Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Kind kind() const { return kind_; }
  uint32_t id() const { return id_; }
  pid_t pid() const { return pid_; }
  bool attached() const { return attached_; }

  // Empty: the end of the input. false: the client sent more than it was granted.
  bool write_input(ByteView data);
  void grant(wire::Stream stream, uint64_t bytes);
  virtual void resize(uint32_t /*rows*/, uint32_t /*cols*/) {}
  // To the process's whole group.
  void signal(int signal);
  void channel_drained();
  // No more frames; the process lives on, its output is dropped and its stdin is at its end.
  void detach();
  // The process has been reaped.
  void exited(int wait_status, bool oom_killed);
  bool was_killed_by_request() const { return killed_; }

 protected:
  // `on_finished` is called once, when the last frame has been sent; the session must not be destroyed before that call
  // has returned.
  Session(Kind kind, Channel& channel, uint32_t id, std::function<void(Session&)> on_finished)
      : channel_(channel), kind_(kind), id_(id), on_finished_(std::move(on_finished)) {}

  // The process runs; from now on its streams are served. `errors` may be null, and so may `input`.
  void begin(pid_t pid, std::unique_ptr<Input> input, std::unique_ptr<Output> output, std::unique_ptr<Output> errors);
  // When the process has ended and its output is sent.
  void finish_if_done();
  // How the process ended, before its last output is sent.
  virtual void on_exit(int wait_status, bool oom_killed) = 0;
  // The terminal frame; only while a client is there.
  virtual void send_outcome() = 0;

  Channel& channel_;

 private:
  Kind kind_;
  uint32_t id_;
  std::function<void(Session&)> on_finished_;
  pid_t pid_ = -1;
  bool attached_ = true;
  bool killed_ = false;
  bool started_ = false;
  bool exited_ = false;
  std::unique_ptr<Input> input_;
  std::unique_ptr<Output> output_;
  std::unique_ptr<Output> errors_;
};

}  // namespace msb::agent
