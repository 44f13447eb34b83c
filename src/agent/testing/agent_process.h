// AgentProcess: the agent as an ordinary child process of a test, which plays the host at the other end
// of a socket pair. Frames that a test does not ask for are kept until it does.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <string>

#include "base/child.h"
#include "base/temp_dir.h"
#include "wire/messages.h"

namespace msb::agent::testing {

struct Received {
  uint32_t id;
  uint8_t flags;
  std::string type;
  Bytes payload;

  template <wire::Message T>
  T as() const {
    EXPECT_EQ(type, T::kType);
    auto message = wire::decode<T>(payload);
    EXPECT_TRUE(message);
    return message ? *message : T{};
  }
};

// How a session went, with all it wrote.
struct Outcome {
  std::string out, err;
  wire::ExecExited exited;
  std::optional<wire::ExecFailed> failed;
};

class AgentProcess {
 public:
  AgentProcess();  // up, without core.bootstrap
  ~AgentProcess();

  // Sends core.bootstrap and expects core.ready.
  void boot(const wire::Bootstrap& bootstrap = {});

  template <wire::Message T>
  void send(uint32_t id, const T& message, uint8_t flags = 0) {
    send_raw(wire::make_frame(id, flags, message));
  }
  void send_raw(ByteView bytes);

  // The next frame of any session; of one session; of one type in one session (others of that session are dropped).
  Received next();
  Received next_of(uint32_t id);
  // What T views (stream data) is gone when this returns; its size may be asked for.
  template <wire::Message T>
  T expect(uint32_t id) {
    return next_of(id).template as<T>();
  }

  // The next piece of stdout of a session.
  std::string next_text(uint32_t id);

  // Starts a session. The request's `cmd` is a script for /bin/sh when `args` is empty.
  uint32_t start(const wire::ExecRequest& request);
  // Reads a session to its end, granting what it takes.
  Outcome finish(uint32_t id, uint64_t grant = wire::kStreamWindow);
  Outcome run(const wire::ExecRequest& request) { return finish(start(request)); }

  // Waits for the agent's own end and returns its exit code.
  int wait();
  int channel() const { return socket_.get(); }
  void hang_up() { socket_.reset(); }
  // The agent writes what it does to its guest here, one word a line.
  std::string guest_log() const;
  const std::string& directory() const { return directory_.path(); }

 private:
  TempDir directory_ = TempDir::create().value();
  Fd socket_;
  Child child_;
  wire::FrameReader reader_;
  std::deque<Received> kept_;
  uint32_t next_id_ = 1;
};

inline wire::ExecRequest script(std::string text) {
  wire::ExecRequest request;
  request.cmd = "/bin/sh";
  request.args = {"-c", std::move(text)};
  request.stdin_open = false;
  request.window = wire::kStreamWindow;
  return request;
}

}  // namespace msb::agent::testing
