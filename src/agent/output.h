// Output: one stream from a process to the host (stdout, stderr, or a terminal).
//
// Sends no more than the client has granted, and reads the process no faster than that: a client
// that stops reading stops this stream only. Data is sent as it is read, never collected.
#pragma once

#include <functional>
#include <optional>

#include "agent/channel.h"

namespace msb::agent {

class Output {
 public:
  struct Options {
    uint32_t id;                      // of the session
    std::string_view type;            // of its frames: core.exec.stdout, core.exec.stderr or core.fs.data
    std::optional<uint64_t> window;   // bytes granted; none: no flow control
    size_t last_bytes_limit;          // most that is sent after the process has ended; 0: what its pipe says it holds
    std::function<void()> on_closed;  // nothing more will come
  };
  Output(Reactor& reactor, Channel& channel, Fd fd, Options options)
      : reactor_(reactor), channel_(channel), fd_(std::move(fd)), options_(std::move(options)) {}

  void start() { listen(); }
  void grant(uint64_t bytes);
  // The channel has room again.
  void resume();
  // The client is gone: read and drop from now on.
  void discard();
  // The process is gone: send what the pipe holds now, then close. A grandchild may hold the other
  // end for ever, so its end is not waited for.
  void end();

  bool closed() const { return !fd_; }

 private:
  enum class Progress { more, wait, stop };
  void listen();
  void on_readable();
  Progress pump();
  void drain();
  void close();

  Reactor& reactor_;
  Channel& channel_;
  Fd fd_;
  Options options_;
  bool discarding_ = false;
  bool ending_ = false;
  size_t last_bytes_ = 0;
  Reactor::Watch watch_;
};

}  // namespace msb::agent
