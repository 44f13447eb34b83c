#include "virtio/port_stream.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "virtio/served_queue.h"

namespace msb::virtio {
namespace {

// Appends the views from `skip` on, as far as there is room; returns the bytes appended.
size_t gather(std::span<const MutableByteView> views, uint64_t skip, std::span<iovec>& room) {
  size_t bytes = 0;
  for (MutableByteView view : views) {
    if (room.empty()) break;
    const size_t skipped = std::min<uint64_t>(skip, view.size());
    skip -= skipped;
    if (skipped == view.size()) continue;
    room.front() = {view.data() + skipped, view.size() - skipped};
    bytes += view.size() - skipped;
    room = room.subspan(1);
  }
  return bytes;
}

bool would_block(int error) {
  return error == EAGAIN || error == EWOULDBLOCK;
}

msghdr message_of(std::span<iovec> vectors, size_t used) {
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = used;
  return message;
}

}  // namespace

PortStream::PortStream(Reactor& reactor, int socket, DeviceContext& context, Queues queues, Hooks hooks)
    : reactor_(reactor),
      socket_(socket),
      context_(context),
      receive_index_(queues.receive_index),
      transmit_index_(queues.transmit_index),
      receive_(std::move(*queues.receive)),
      transmit_(std::move(*queues.transmit)),
      hooks_(std::move(hooks)) {}

Result<std::unique_ptr<PortStream>> PortStream::create(Reactor& reactor, int socket, DeviceContext& context,
                                                       Queues queues, Hooks hooks) {
  if (!queues.receive || !queues.transmit)
    return fail(ErrorKind::protocol, "the driver left a queue of the port disabled");
  std::unique_ptr<PortStream> stream(new PortStream(reactor, socket, context, std::move(queues), std::move(hooks)));
  PortStream* self = stream.get();
  MSB_TRY(self->receive_watch_, watch_kick(reactor, self->receive_.kick, [self] {
            // Wanted or not: look again when there are bytes.
            self->starving_ = false;
            self->receive_.queue.disable_kicks();
            self->run({});
          }));
  MSB_TRY(self->transmit_watch_, watch_kick(reactor, self->transmit_.kick, [self] {
            if (!self->blocked_) self->run(self->transmit());
          }));
  self->receive_.queue.disable_kicks();
  // What the driver published before it said DRIVER_OK.
  MSB_TRY(bool waiting, self->transmit_.queue.enable_kicks());
  if (waiting) kick_again(self->transmit_.kick);
  return stream;
}

Result<> PortStream::set_open(bool open) {
  open_ = open;
  if (!open) {
    MSB_CHECK(return_written());
    MSB_CHECK(tell(transmit_, transmit_index_));
  }
  return watch_socket();
}

// Every event ends here, with its outcome. Nothing of this object is touched after a hook that may destroy it.
void PortStream::run(Result<> step) {
  if (step) step = watch_socket();
  if (!step) {
    auto broken = hooks_.broken;
    broken(step.error());
  } else if ((read_end_ || write_end_) && !told_) {
    told_ = true;
    auto hangup = hooks_.hangup;
    hangup();
  }
}

Result<> PortStream::watch_socket() {
  const uint32_t events = (wants_input() ? EPOLLIN : 0u) | (blocked_ ? EPOLLOUT : 0u);
  if (events == 0) {
    // Not an interest in nothing: a hang-up would be reported all the same, again and again.
    socket_watch_.reset();
    return {};
  }
  if (socket_watch_) return socket_watch_.set_events(events);
  MSB_TRY(socket_watch_, reactor_.watch(socket_, events, [this](uint32_t ready) {
    Result<> step;
    if (wants_input() && (ready & ~uint32_t{EPOLLOUT})) step = receive();
    if (step && blocked_ && (ready & ~uint32_t{EPOLLIN})) step = transmit();
    run(std::move(step));
  }));
  return {};
}

Result<> PortStream::receive() {
  bool drained = false;
  for (int turn = 0; turn < kTurn && !drained; ++turn) {
    while (empty_.size() < kBatch) {
      MSB_TRY(auto chain, receive_.queue.pop());
      if (!chain) break;
      // Without room, the end of the socket and a full buffer would look the same.
      if (chain->writable_bytes() == 0) return fail(ErrorKind::protocol, "a receive buffer without room");
      empty_.push_back(std::move(*chain));
    }
    if (empty_.empty()) {
      MSB_TRY(bool more, receive_.queue.enable_kicks());
      starving_ = !more;
      if (starving_) break;
      continue;
    }
    size_t filled = 0;
    MSB_CHECK(receive_into(filled, drained));
    if (filled > 0 && hooks_.activity) hooks_.activity();
  }
  // Buffers that came back in passing, and a driver that may be waiting for them.
  if (blocked_) MSB_CHECK(tell(transmit_, transmit_index_));
  return tell(receive_, receive_index_);
}

// One system call: from the socket into the buffers.
Result<> PortStream::receive_into(size_t& filled, bool& drained) {
  std::array<iovec, kVectors> vectors;
  std::span<iovec> room(vectors);
  size_t offered = 0;
  for (const Chain& chain : empty_) offered += gather(chain.writable(), 0, room);
  msghdr message = message_of(vectors, vectors.size() - room.size());
  const ssize_t got = ::recvmsg(socket_, &message, MSG_DONTWAIT);
  if (got < 0 && (would_block(errno) || errno == EINTR)) {
    drained = true;
    return {};
  }
  if (got <= 0) {  // the end, or a connection reset
    read_end_ = true;
    drained = true;
    return {};
  }
  filled = static_cast<size_t>(got);
  drained = filled < offered;
  for (size_t left = filled; left > 0;) {
    const size_t part = std::min<uint64_t>(left, empty_.front().writable_bytes());
    left -= part;
    MSB_CHECK(receive_.queue.complete(std::move(empty_.front()), static_cast<uint32_t>(part)));
    empty_.pop_front();
  }
  // In passing, without an interrupt of their own: the driver has half of its queue left, unless we are blocked.
  return return_written();
}

Result<> PortStream::transmit() {
  blocked_ = true;
  transmit_.queue.disable_kicks();
  for (int turn = 0; turn < kTurn; ++turn) {
    while (unsent_.size() < kBatch) {
      MSB_TRY(auto chain, transmit_.queue.pop());
      if (!chain) break;
      if (chain->readable_bytes() == 0)
        MSB_CHECK(written(std::move(*chain)));
      else
        unsent_.push_back(std::move(*chain));
    }
    if (unsent_.empty()) {
      MSB_TRY(bool more, transmit_.queue.enable_kicks());
      if (more) continue;
      blocked_ = false;
      break;
    }
    bool full = false;
    MSB_CHECK(send_held(full));
    if (full) break;
  }
  // Still blocked: the socket is full, or the turn is over and the socket says at once that it is writable.
  return tell(transmit_, transmit_index_);
}

// One system call: from the buffers into the socket.
Result<> PortStream::send_held(bool& full) {
  std::array<iovec, kVectors> vectors;
  std::span<iovec> room(vectors);
  size_t offered = 0;
  uint64_t skip = sent_;
  for (const Chain& chain : unsent_) offered += gather(chain.readable(), std::exchange(skip, 0), room);
  size_t sent = offered;
  if (!write_end_) {
    msghdr message = message_of(vectors, vectors.size() - room.size());
    const ssize_t put = ::sendmsg(socket_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0 && (would_block(errno) || errno == EINTR)) {
      full = true;
      return {};
    }
    // Nobody reads any more. What was offered counts as sent, as for an unplugged cable.
    if (put < 0) write_end_ = true;
    if (put >= 0) sent = static_cast<size_t>(put);
    if (put > 0 && hooks_.activity) hooks_.activity();
  }
  full = sent < offered;
  for (sent_ += sent; !unsent_.empty() && sent_ >= unsent_.front().readable_bytes();) {
    sent_ -= unsent_.front().readable_bytes();
    Chain chain = std::move(unsent_.front());
    unsent_.pop_front();
    MSB_CHECK(written(std::move(chain)));
  }
  return {};
}

Result<> PortStream::written(Chain chain) {
  written_bytes_ += chain.readable_bytes();
  // A chain of many descriptors could leave the driver without any, and waiting.
  const bool long_chain = chain.readable().size() + chain.writable().size() > 1;
  written_.push_back(std::move(chain));
  if (long_chain || written_bytes_ >= kUnreturnedBytes || written_.size() * 2 >= transmit_.queue.size())
    return return_written();
  return {};
}

Result<> PortStream::return_written() {
  for (Chain& chain : written_) MSB_CHECK(transmit_.queue.complete(std::move(chain), 0));
  written_.clear();
  written_bytes_ = 0;
  return {};
}

Result<> PortStream::tell(ActiveQueue& active, uint16_t index) {
  MSB_TRY(bool wanted, active.queue.wants_interrupt());
  if (wanted) context_.interrupt(index);
  return {};
}

}  // namespace msb::virtio
