#include "base/deadline.h"

namespace msb {

Result<size_t> poll_until(std::span<pollfd> fds, const Deadline& deadline) {
  while (true) {
    timespec timeout{};
    if (deadline) {
      auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(*deadline - Clock::now());
      if (left.count() > 0) {
        timeout.tv_sec = static_cast<time_t>(left.count() / 1'000'000'000);
        timeout.tv_nsec = static_cast<long>(left.count() % 1'000'000'000);
      }
    }
    int count = ::ppoll(fds.data(), fds.size(), deadline ? &timeout : nullptr, nullptr);
    if (count >= 0) return static_cast<size_t>(count);
    if (errno != EINTR) return fail_errno("wait for a descriptor");
  }
}

Result<bool> wait_for(int fd, short events, const Deadline& deadline) {
  pollfd entry{.fd = fd, .events = events, .revents = 0};
  MSB_TRY(size_t ready, poll_until({&entry, 1}, deadline));
  return ready > 0;
}

}  // namespace msb
