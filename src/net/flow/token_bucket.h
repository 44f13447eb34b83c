// Buckets of tokens: how much may pass, and when again.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include <microsandbox/network.h>

namespace msb::net {

// One TokenBucket (microsandbox/network.h says what its numbers mean). A value; time is the caller's.
class Bucket {
 public:
  using Clock = std::chrono::steady_clock;

  Bucket(const TokenBucket& size, Clock::time_point now);

  // Takes so many tokens, when there is at least one: what is more than there were is paid back before the next.
  bool take(uint64_t tokens, Clock::time_point now);
  // How long until there is one again.
  std::chrono::nanoseconds wait(Clock::time_point now);

 private:
  void refill(Clock::time_point now);

  double per_nanosecond_;
  double size_;
  double tokens_;
  double burst_;  // one time
  Clock::time_point filled_;
};

// Bandwidth and operations of one direction.
class RateGate {
 public:
  using Clock = Bucket::Clock;
  RateGate(const RateLimiter& limits, Clock::time_point now);

  bool limits() const { return bandwidth_ || operations_; }
  // Whether a frame of so many bytes may pass now; it has passed then.
  bool admit(uint64_t bytes, Clock::time_point now);
  std::chrono::nanoseconds wait(Clock::time_point now);

 private:
  std::optional<Bucket> bandwidth_;
  std::optional<Bucket> operations_;
};

}  // namespace msb::net
