#include "agent/output.h"

#include <sys/ioctl.h>

#include <algorithm>

namespace msb::agent {

void Output::listen() {
  if (!fd_ || watch_) return;
  auto watch = reactor_.watch(fd_.get(), EPOLLIN, [this](uint32_t) { on_readable(); });
  // Only without memory: the stream is then at its end.
  if (!watch) return close();
  watch_ = std::move(*watch);
}

void Output::on_readable() {
  if (ending_) return drain();
  (void)pump();
}

// Moves one chunk. `wait`: stopped until somebody calls us; `stop`: closed, or empty while ending.
Output::Progress Output::pump() {
  size_t want = wire::kMaxChunk;
  if (!discarding_) {
    if (channel_.congested() || options_.window == uint64_t{0}) {
      // The watch must go, not only its events: a hang-up is reported whether asked for or not.
      watch_.reset();
      return Progress::wait;
    }
    if (options_.window) want = static_cast<size_t>(std::min<uint64_t>(want, *options_.window));
  }
  if (ending_) want = std::min(want, last_bytes_);
  if (want == 0) return close(), Progress::stop;
  auto& frame = channel_.scratch();
  auto count = read_some(fd_.get(), frame.room().first(want));
  if (!count && count.error().errnum() == EAGAIN) {
    if (ending_) close();
    return Progress::stop;
  }
  // EIO is how a terminal ends.
  if (!count || *count == 0) return close(), Progress::stop;
  if (ending_) last_bytes_ -= *count;
  if (!discarding_) {
    if (options_.window) *options_.window -= *count;
    channel_.send(frame.finish(options_.id, 0, options_.type, *count));
  }
  return Progress::more;
}

void Output::drain() {
  while (pump() == Progress::more) {
  }
}

void Output::grant(uint64_t bytes) {
  if (!options_.window) return;
  // A sloppy sum saturates.
  if (__builtin_add_overflow(*options_.window, bytes, &*options_.window)) options_.window = UINT64_MAX;
  resume();
}

void Output::resume() {
  if (!fd_ || watch_) return;
  if (ending_) return drain();
  listen();
}

void Output::discard() {
  discarding_ = true;
  resume();
}

void Output::end() {
  if (!fd_ || ending_) return;
  ending_ = true;
  last_bytes_ = options_.last_bytes_limit;
  int held = 0;
  if (last_bytes_ == 0 && ::ioctl(fd_.get(), FIONREAD, &held) == 0) last_bytes_ = static_cast<size_t>(held);
  drain();
}

void Output::close() {
  watch_.reset();
  fd_.reset();
  options_.on_closed();
}

}  // namespace msb::agent
