// PortStream: the two data queues of a console port, bridged to a stream socket (virtio 1.2, 5.3.6).
//
// No byte is ever buffered here. Bytes for the guest go from the socket straight into the guest's receive buffers, and
// stay in the socket while there are none or the guest has not opened the port. Bytes from the guest go straight from
// its buffers into the socket; while that is full, the buffers stay with us, partly written or not, and the guest
// waits. So each side is slowed down by the other, and neither can make this process grow.
//
// Few exits: the driver is asked for kicks on the receive queue only when the guest has run out of buffers, on the
// transmit queue never while the socket is full. A buffer of the guest's that has been written is not returned at once,
// because each return is an interrupt (two exits more, to read and acknowledge its cause): it goes back with the next
// bytes for the guest, or when 64 KiB or half of the queue have gathered, or when the port is closed. So such a driver
// must not wait for a single buffer to come back; Linux does not, for ports that are not consoles.
//
// Fair: a few system calls a turn, then the reactor's other descriptors have their turn.
//
// Belongs to the reactor's thread. Only `broken` and `hangup` may destroy it from inside.
#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "base/reactor.h"
#include "virtio/device.h"

namespace msb::virtio {

class PortStream {
 public:
  struct Hooks {
    std::function<void()> activity = {};  // bytes have moved
    std::function<void()> hangup;         // once: the socket's other end is closed
    std::function<void(const Error&)> broken;
  };
  struct Queues {
    uint16_t receive_index;
    uint16_t transmit_index;
    std::optional<ActiveQueue> receive;
    std::optional<ActiveQueue> transmit;
  };

  // The socket (non-blocking) is not owned. Errors (protocol): the driver left a queue disabled.
  static Result<std::unique_ptr<PortStream>> create(Reactor& reactor, int socket, DeviceContext& context, Queues queues,
                                                    Hooks hooks);

  // Whether the guest has the port open: only then does it receive.
  Result<> set_open(bool open);

 private:
  // Buffers taken from a queue at a time, and vectors of one system call.
  static constexpr size_t kBatch = 16;
  static constexpr size_t kVectors = 64;
  static constexpr int kTurn = 4;  // system calls in one direction before others have their turn
  static constexpr uint64_t kUnreturnedBytes = 64 << 10;

  PortStream(Reactor& reactor, int socket, DeviceContext& context, Queues queues, Hooks hooks);
  void run(Result<> step);
  Result<> receive();
  Result<> receive_into(size_t& filled, bool& drained);
  Result<> transmit();
  Result<> send_held(bool& full);
  Result<> written(Chain chain);
  Result<> return_written();
  Result<> tell(ActiveQueue& active, uint16_t index);
  Result<> watch_socket();
  bool wants_input() const { return open_ && !read_end_ && !starving_; }

  Reactor& reactor_;
  int socket_;
  DeviceContext& context_;
  uint16_t receive_index_;
  uint16_t transmit_index_;
  ActiveQueue receive_;
  ActiveQueue transmit_;
  Hooks hooks_;

  bool open_ = false;
  bool starving_ = false;   // the guest has no receive buffers; a kick will tell
  bool blocked_ = false;    // the socket takes no more; it will tell
  bool read_end_ = false;   // the other end has closed, or closed its half
  bool write_end_ = false;  // the other end reads no more: what the guest sends is dropped
  bool told_ = false;       // hangup has been called

  std::deque<Chain> empty_;     // receive buffers not yet filled
  std::deque<Chain> unsent_;    // transmit buffers not yet (wholly) written
  uint64_t sent_ = 0;           // of the first one
  std::deque<Chain> written_;   // transmit buffers wholly written, not yet returned
  uint64_t written_bytes_ = 0;  // in those

  Reactor::Watch socket_watch_;
  Reactor::Watch receive_watch_;
  Reactor::Watch transmit_watch_;
};

}  // namespace msb::virtio
