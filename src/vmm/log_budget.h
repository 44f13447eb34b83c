// LogBudget: a token bucket that bounds how much a guest can make the host write to its logs.
//
// Bulk streams would otherwise cost as much in log writing as in transport, and the rotation would keep
// only their end anyway. What is refused is counted, so that the log can say how much is missing.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace msb::vmm {

class LogBudget {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr uint64_t kBurst = uint64_t{4} << 20;
  static constexpr uint64_t kBytesPerSecond = uint64_t{1} << 20;

  // True when this much may be written now.
  bool take(uint64_t bytes, Clock::time_point now = Clock::now()) {
    auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(now - last_);
    if (passed.count() > 0) {
      tokens_ = std::min(
          kBurst, tokens_ + static_cast<uint64_t>(std::min<int64_t>(passed.count(), 60'000)) * kBytesPerSecond / 1000);
      last_ = now;
    }
    if (bytes > tokens_) return refused_ += bytes, false;
    tokens_ -= bytes;
    return true;
  }
  // What a write cost beyond what was taken for it.
  void charge(uint64_t bytes) { tokens_ -= std::min(bytes, tokens_); }
  // Bytes refused since the last call.
  uint64_t take_refused() { return std::exchange(refused_, 0); }

 private:
  uint64_t tokens_ = kBurst;
  uint64_t refused_ = 0;
  Clock::time_point last_ = Clock::now();
};

}  // namespace msb::vmm
