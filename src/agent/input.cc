#include "agent/input.h"

#include <termios.h>

namespace msb::agent {
namespace {

// Credit is returned in pieces of this size: often enough that the client never waits for it.
constexpr uint64_t kCreditStep = wire::kStreamWindow / 4;

}  // namespace

bool Input::write(ByteView data) {
  if (!fd_ || finished_) return true;
  if (queue_.size() - done_ + data.size() > options_.limit) return false;
  if (queue_.size() == done_) {
    queue_.clear();
    done_ = 0;
    while (!data.empty()) {
      auto count = write_some(fd_.get(), data);
      if (!count) {
        if (count.error().errnum() == EAGAIN) break;
        broken(count.error().errnum());
        return true;
      }
      took(*count);
      data = data.subspan(*count);
    }
    if (data.empty()) return true;
  } else if (done_ >= wire::kMaxChunk) {
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<ptrdiff_t>(done_));
    done_ = 0;
  }
  queue_.insert(queue_.end(), data.begin(), data.end());
  if (watch_) return true;
  auto watch = reactor_.watch(fd_.get(), EPOLLOUT, [this](uint32_t) { write_queue(); });
  if (!watch) {
    broken(watch.error().errnum());
    return true;
  }
  watch_ = std::move(*watch);
  return true;
}

void Input::write_queue() {
  while (done_ < queue_.size()) {
    auto count = write_some(fd_.get(), ByteView(queue_).subspan(done_));
    if (!count) {
      if (count.error().errnum() != EAGAIN) broken(count.error().errnum());
      return;
    }
    done_ += *count;
    took(*count);
  }
  watch_.reset();
  // Given back: a thousand idle sessions should not each keep their largest backlog.
  Bytes().swap(queue_);
  done_ = 0;
  if (finished_) close();
}

void Input::took(size_t count) {
  uncredited_ += count;
  if (uncredited_ < kCreditStep) return;
  options_.on_taken(std::exchange(uncredited_, 0));
}

void Input::finish() {
  if (!fd_ || finished_) return;
  if (options_.kind == Kind::terminal) {
    termios settings;
    uint8_t end = 4;  // ^D
    if (::tcgetattr(fd_.get(), &settings) == 0) end = settings.c_cc[VEOF];
    (void)write({&end, 1});
  }
  finished_ = true;
  if (queue_.size() == done_) close();
}

void Input::close() {
  watch_.reset();
  fd_.reset();
  Bytes().swap(queue_);
  done_ = 0;
}

void Input::broken(int errnum) {
  close();
  options_.on_broken(errnum);
}

}  // namespace msb::agent
