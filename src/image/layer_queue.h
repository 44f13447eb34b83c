// BufferQueue: hands full buffers from one thread to another and empty ones back.
// A fixed number of buffers, so a fast producer waits for a slow consumer.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "base/bytes.h"

namespace msb::image {

class BufferQueue {
 public:
  BufferQueue(size_t count, size_t size) : free_(count, Bytes(size)) {}

  struct Filled {
    Bytes buffer;
    size_t used = 0;
  };

  // Producer: waits for an empty buffer. nullopt once the consumer has given up.
  std::optional<Bytes> take_empty() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !free_.empty() || abandoned_; });
    if (abandoned_) return std::nullopt;
    Bytes buffer = std::move(free_.back());
    free_.pop_back();
    return buffer;
  }
  void put_filled(Filled filled) {
    std::lock_guard lock(mutex_);
    filled_.push_back(std::move(filled));
    changed_.notify_all();
  }
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

  // Consumer: nullopt when the producer has closed and all was taken.
  std::optional<Filled> take_filled() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !filled_.empty() || closed_; });
    if (filled_.empty()) return std::nullopt;
    Filled filled = std::move(filled_.front());
    filled_.pop_front();
    return filled;
  }
  void put_empty(Bytes buffer) {
    std::lock_guard lock(mutex_);
    free_.push_back(std::move(buffer));
    changed_.notify_all();
  }
  void abandon() {
    std::lock_guard lock(mutex_);
    abandoned_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Bytes> free_;
  std::deque<Filled> filled_;
  bool closed_ = false;
  bool abandoned_ = false;
};

}  // namespace msb::image
