#include "agent/channel.h"

#include <poll.h>

namespace msb::agent {

Result<std::unique_ptr<Channel>> Channel::open(Reactor& reactor, Fd fd, Events events) {
  MSB_CHECK(set_blocking(fd.get(), Blocking::no));
  std::unique_ptr<Channel> channel(new Channel(std::move(fd), std::move(events)));
  // Edge-triggered: a virtio port whose host end is not open yet hangs up all the time, and would spin.
  MSB_TRY(channel->watch_, reactor.watch(channel->fd_.get(), EPOLLIN | EPOLLOUT | EPOLLET,
                                         [raw = channel.get()](uint32_t ready) { raw->on_ready(ready); }));
  return channel;
}

void Channel::on_ready(uint32_t) {
  // Every event tries both ways: reads and writes tell the truth, the event's bits are a hint.
  write_queue();
  receive();
}

void Channel::receive() {
  while (!broken_ && queued_ <= kStopReading) {
    auto room = reader_.prepare();
    auto count = read_some(fd_.get(), room);
    if (!count) {
      if (count.error().errnum() == EAGAIN) {
        connected_ = true;
        return;
      }
      // A reset: the same as the end.
      count = 0;
    }
    if (*count == 0) {
      if (std::exchange(connected_, false)) events_.on_closed();
      return;
    }
    connected_ = true;
    reader_.commit(*count);
    if (!dispatch()) return;
  }
}

bool Channel::dispatch() {
  while (true) {
    auto frame = reader_.next();
    if (!frame) {
      broken_ = true;
      events_.on_broken(frame.error());
      return false;
    }
    if (!*frame) return true;
    events_.on_frame(**frame);
  }
}

void Channel::send(ByteView frame) {
  if (queue_.empty()) {
    while (!frame.empty()) {
      auto count = write_some(fd_.get(), frame);
      if (!count || *count == 0) break;
      frame = frame.subspan(*count);
    }
    if (frame.empty()) return;
  }
  queued_ += frame.size();
  queue_.emplace_back(frame.begin(), frame.end());
}

void Channel::write_queue() {
  bool was_congested = congested();
  bool held_back = queued_ > kStopReading;
  while (!queue_.empty()) {
    ByteView rest = ByteView(queue_.front()).subspan(front_done_);
    auto count = write_some(fd_.get(), rest);
    if (!count || *count == 0) break;
    queued_ -= *count;
    front_done_ += *count;
    if (*count < rest.size()) continue;
    queue_.pop_front();
    front_done_ = 0;
  }
  if (was_congested && !congested()) events_.on_drained();
  if (held_back && queued_ <= kStopReading) receive();
}

void Channel::flush() {
  // A host that has not read for this long is not going to.
  constexpr int kPatienceMs = 2000;
  while (!queue_.empty()) {
    pollfd writable{fd_.get(), POLLOUT, 0};
    int ready = ::poll(&writable, 1, kPatienceMs);
    if (ready == 0 || (ready < 0 && errno != EINTR)) return;
    if (writable.revents & (POLLERR | POLLHUP | POLLNVAL)) return;
    write_queue();
  }
}

}  // namespace msb::agent
