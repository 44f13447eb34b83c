#include "net/flow/token_bucket.h"

#include <algorithm>
#include <cmath>

namespace msb::net {

Bucket::Bucket(const TokenBucket& size, Clock::time_point now)
    : per_nanosecond_(static_cast<double>(size.size) /
                      static_cast<double>(std::chrono::nanoseconds(size.refill_time).count())),
      size_(static_cast<double>(size.size)),
      tokens_(size_),
      burst_(static_cast<double>(size.one_time_burst)),
      filled_(now) {}

void Bucket::refill(Clock::time_point now) {
  const auto passed = static_cast<double>(std::chrono::nanoseconds(now - filled_).count());
  tokens_ = std::min(size_, tokens_ + passed * per_nanosecond_);
  filled_ = now;
}

bool Bucket::take(uint64_t tokens, Clock::time_point now) {
  refill(now);
  if (tokens_ + burst_ < 1) return false;
  auto wanted = static_cast<double>(tokens);
  const double gift = std::min(burst_, wanted);
  burst_ -= gift;
  tokens_ -= wanted - gift;
  return true;
}

std::chrono::nanoseconds Bucket::wait(Clock::time_point now) {
  refill(now);
  if (tokens_ + burst_ >= 1) return std::chrono::nanoseconds(0);
  return std::chrono::nanoseconds(static_cast<int64_t>(std::ceil((1 - tokens_ - burst_) / per_nanosecond_)) + 1);
}

RateGate::RateGate(const RateLimiter& limits, Clock::time_point now) {
  if (limits.bandwidth) bandwidth_.emplace(*limits.bandwidth, now);
  if (limits.operations) operations_.emplace(*limits.operations, now);
}

bool RateGate::admit(uint64_t bytes, Clock::time_point now) {
  if (wait(now).count() > 0) return false;
  if (bandwidth_) bandwidth_->take(bytes, now);
  if (operations_) operations_->take(1, now);
  return true;
}

std::chrono::nanoseconds RateGate::wait(Clock::time_point now) {
  std::chrono::nanoseconds longest{0};
  if (bandwidth_) longest = std::max(longest, bandwidth_->wait(now));
  if (operations_) longest = std::max(longest, operations_->wait(now));
  return longest;
}

}  // namespace msb::net
