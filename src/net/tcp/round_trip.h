// RoundTrip: how long to wait for an acknowledgement (RFC 6298), doubled each time none came.
#pragma once

#include <algorithm>

#include "base/deadline.h"
#include "net/tcp/timings.h"

namespace msb::net {

class RoundTrip {
 public:
  explicit RoundTrip(const TcpTimings& timings) : timings_(timings), timeout_(timings.first_timeout) {}

  void measured(Clock::duration sample) {
    if (smoothed_ == Clock::duration::zero()) {
      smoothed_ = sample;
      variation_ = sample / 2;
    } else {
      const Clock::duration off = smoothed_ > sample ? smoothed_ - sample : sample - smoothed_;
      variation_ += (off - variation_) / 4;
      smoothed_ += (sample - smoothed_) / 8;
    }
    timeout_ =
        std::clamp<Clock::duration>(smoothed_ + 4 * variation_, timings_.least_timeout, timings_.longest_timeout);
  }
  void answered() { doublings_ = 0; }
  void unanswered() { doublings_ = std::min(doublings_ + 1, 16); }
  Clock::duration timeout() const {
    return std::min<Clock::duration>(timeout_ * (1 << doublings_), timings_.longest_timeout);
  }

 private:
  const TcpTimings& timings_;
  Clock::duration timeout_;
  Clock::duration smoothed_{};
  Clock::duration variation_{};
  int doublings_ = 0;
};

}  // namespace msb::net
