// Deadline: a point on the monotonic clock, or never; and poll(2) against one.
#pragma once

#include <poll.h>

#include <chrono>
#include <optional>
#include <span>

#include "base/result.h"

namespace msb {

using Clock = std::chrono::steady_clock;
using Deadline = std::optional<Clock::time_point>;

inline Deadline deadline_after(std::chrono::milliseconds delay) {
  // Clamped before it becomes nanoseconds, so that an absurd delay cannot overflow the clock.
  constexpr std::chrono::milliseconds kLongest = std::chrono::hours(24 * 365);
  return Clock::now() + (delay < kLongest ? delay : kLongest);
}
inline bool has_passed(const Deadline& deadline) {
  return deadline && Clock::now() >= *deadline;
}
// The earlier of the two; never is later than anything.
inline Deadline earlier(const Deadline& a, const Deadline& b) {
  return !a ? b : !b ? a : *a < *b ? a : b;
}

// Waits for the descriptors; the number that are ready, 0 when the deadline passed first.
Result<size_t> poll_until(std::span<pollfd> fds, const Deadline& deadline);

// Waits until `fd` has one of `events` (or an error); false when the deadline passed first.
Result<bool> wait_for(int fd, short events, const Deadline& deadline);

}  // namespace msb
