// Channel: the agent's end of the link to the host, a byte stream of frames.
//
// Writes never block: what the host does not take yet is queued. The queue is bounded by its users:
// streams stop reading their processes while congested() and go on at on_drained. Replies are small
// and few; should a host ask without ever reading, its requests are left unread instead.
#pragma once

#include <deque>
#include <functional>

#include "base/reactor.h"
#include "wire/stream_frame.h"

namespace msb::agent {

class Channel {
 public:
  struct Events {
    std::function<void(const wire::Frame&)> on_frame;
    std::function<void()> on_drained;             // no longer congested
    std::function<void(const Error&)> on_broken;  // the stream is not frames any more, and is not read further
    std::function<void()> on_closed;              // the host went away
  };

  // Takes a socket or a virtio port, opened for reading and writing.
  static Result<std::unique_ptr<Channel>> open(Reactor& reactor, Fd fd, Events events);

  void send(ByteView frame);
  template <wire::Message T>
  void send(uint32_t id, uint8_t flags, const T& message) {
    send(wire::make_frame(id, flags, message));
  }

  bool congested() const { return queued_ > kHighWater; }
  // Shared by all streams, which fill and send it in one go.
  wire::StreamFrame& scratch() { return scratch_; }
  // Writes out what is queued, waiting for a host that reads; for the last words before power-off.
  void flush();

 private:
  static constexpr size_t kHighWater = size_t{1} << 20;
  // With this much unread by the host, its requests wait.
  static constexpr size_t kStopReading = size_t{8} << 20;

  Channel(Fd fd, Events events) : fd_(std::move(fd)), events_(std::move(events)) {}
  void on_ready(uint32_t events);
  void receive();
  bool dispatch();
  void write_queue();

  Fd fd_;
  Events events_;
  wire::FrameReader reader_;
  wire::StreamFrame scratch_;
  std::deque<Bytes> queue_;
  size_t front_done_ = 0;  // bytes of queue_.front() already written
  size_t queued_ = 0;
  bool connected_ = false;
  bool broken_ = false;
  Reactor::Watch watch_;
};

}  // namespace msb::agent
