#include "image/cancellation.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>

namespace msb::image {

Result<std::unique_ptr<Cancellation>> Cancellation::create() {
  Fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return fail_errno("make an eventfd");
  return std::unique_ptr<Cancellation>(new Cancellation(std::move(event)));
}

void Cancellation::cancel() {
  (void)::eventfd_write(event_.get(), 1);
}

bool Cancellation::cancelled() const {
  pollfd wait{event_.get(), POLLIN, 0};
  return ::poll(&wait, 1, 0) > 0;
}

Result<> Cancellation::wait_for(std::chrono::milliseconds delay) const {
  const auto deadline = std::chrono::steady_clock::now() + delay;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd wait{event_.get(), POLLIN, 0};
    const int ready = ::poll(&wait, 1, static_cast<int>(std::max<int64_t>(0, left.count())));
    if (ready > 0) return fail(ErrorKind::cancelled, "the transfer was cancelled");
    if (ready == 0) return {};
    if (errno != EINTR) return fail_errno("wait before trying again");
  }
}

}  // namespace msb::image
