// AgentChannel: frames to and from the guest's agent over the machine's agent socket.
//
// What arrives was written by the guest: a length outside the bounds loses the channel. Reading never
// waits for anybody; what is sent is queued without limit here, so senders look at congested() and
// hold back until on_drained.
#pragma once

#include <functional>
#include <memory>

#include "base/reactor.h"
#include "vmm/out_queue.h"
#include "wire/frame.h"

namespace msb::vmm {

class AgentChannel {
 public:
  struct Observer {
    std::function<void(ByteView raw)> on_frame;       // a whole frame; valid during the call
    std::function<void(const Error& error)> on_lost;  // once: ErrorKind::protocol, or the socket ended
    std::function<void()> on_drained;                 // after congestion
  };

  // The socket belongs to the machine. The channel may not be destroyed inside its callbacks.
  static Result<std::unique_ptr<AgentChannel>> create(Reactor& reactor, int socket, Observer observer);

  void send(ByteView frame);
  // More than a high-water mark waits for the guest to take it.
  bool congested() const { return congested_; }
  // Ends the channel from this side: nothing is read or written any more.
  void close() { watch_.reset(); }

 private:
  AgentChannel(int socket, Observer observer) : socket_(socket), observer_(std::move(observer)) {}
  void on_events(uint32_t events);
  Result<> read_available();
  void write_done(Result<> outcome);
  void lose(const Error& error);

  int socket_;
  Observer observer_;
  wire::FrameReader reader_;
  OutQueue out_;
  bool congested_ = false;
  Reactor::Watch watch_;
};

}  // namespace msb::vmm
