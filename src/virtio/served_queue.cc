#include "virtio/served_queue.h"

#include <sys/eventfd.h>

namespace msb::virtio {

Result<Reactor::Watch> watch_kick(Reactor& reactor, int kick, std::function<void()> kicked) {
  return reactor.watch(kick, EPOLLIN, [kick, kicked = std::move(kicked)](uint32_t) {
    eventfd_t count = 0;
    (void)::eventfd_read(kick, &count);
    kicked();
  });
}

void kick_again(int kick) {
  (void)::eventfd_write(kick, 1);
}

Result<std::unique_ptr<ServedQueue>> ServedQueue::create(Reactor& reactor, DeviceContext& context, uint16_t index,
                                                         std::optional<ActiveQueue> active, Hooks hooks, int turn) {
  if (!active) return fail(ErrorKind::protocol, cat("the driver left queue ", index, " disabled"));
  const int kick = active->kick;
  std::unique_ptr<ServedQueue> served(new ServedQueue(context, index, *active, std::move(hooks), turn));
  MSB_TRY(served->watch_, watch_kick(reactor, kick, [self = served.get()] { self->kicked(); }));
  // What the driver published before it said DRIVER_OK.
  MSB_TRY(bool waiting, served->active_.queue.enable_kicks());
  if (waiting) kick_again(kick);
  return served;
}

void ServedQueue::kicked() {
  auto more = serve();
  if (!more) {
    auto broken = hooks_.broken;  // a copy: the call may destroy this object
    broken(more.error());
    return;
  }
  if (*more) kick_again(active_.kick);
}

Result<bool> ServedQueue::serve() {
  for (int served = 0; served < turn_; ++served) {
    MSB_TRY(auto chain, active_.queue.pop());
    if (!chain) {
      MSB_CHECK(tell());
      return active_.queue.enable_kicks();
    }
    MSB_CHECK(hooks_.request(std::move(*chain)));
  }
  MSB_CHECK(tell());
  return active_.queue.has_available();
}

Result<> ServedQueue::look() {
  MSB_TRY(bool waiting, active_.queue.has_available());
  if (!waiting) return {};
  MSB_TRY(bool more, serve());
  if (more) kick_again(active_.kick);
  return {};
}

Result<> ServedQueue::tell() {
  MSB_TRY(bool wanted, active_.queue.wants_interrupt());
  if (wanted) context_.interrupt(index_);
  return {};
}

}  // namespace msb::virtio
