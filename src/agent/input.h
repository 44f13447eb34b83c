// Input: the stream from the host to a process's stdin (a pipe, or a terminal).
//
// The client may send kStreamWindow bytes, and as many more as the process has taken since, which it is told.
// What the process does not take yet is kept here.
#pragma once

#include <functional>

#include "base/reactor.h"
#include "wire/messages.h"

namespace msb::agent {

class Input {
 public:
  enum class Kind { pipe, terminal };
  struct Options {
    Kind kind;
    size_t limit;  // most that is kept: the window, or a large number for clients without flow control
    std::function<void(uint64_t bytes)> on_taken;  // the client may send so many more
    std::function<void(int errnum)> on_broken;     // the process closed its end
  };
  Input(Reactor& reactor, Fd fd, Options options)
      : reactor_(reactor), fd_(std::move(fd)), options_(std::move(options)) {}

  // false: more than was granted. Data after the end, or after the process closed its stdin, is dropped.
  bool write(ByteView data);
  // No more data will come. A pipe is closed after the rest; a terminal gets its end-of-file character.
  void finish();
  // Drops everything and closes.
  void close();

 private:
  void write_queue();
  void took(size_t count);
  void broken(int errnum);

  Reactor& reactor_;
  Fd fd_;
  Options options_;
  Bytes queue_;
  size_t done_ = 0;  // of queue_
  uint64_t uncredited_ = 0;
  bool finished_ = false;
  Reactor::Watch watch_;
};

}  // namespace msb::agent
