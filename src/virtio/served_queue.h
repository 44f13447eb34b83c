// ServedQueue: a queue whose requests are answered on the device thread: waits for kicks, pops requests, tells the
// driver when it wants to be told. For devices that answer at once (entropy, balloon, console control).
//
// One kick serves at most `turn` requests; the rest waits for the next round of the reactor, so that a guest that
// refills the ring while it is emptied cannot keep the thread from its other devices.
//
// Belongs to the reactor's thread. Destroying it ends all work on the queue; only `broken` may do so from inside.
#pragma once

#include <functional>
#include <memory>

#include "base/reactor.h"
#include "virtio/device.h"

namespace msb::virtio {

// Watches a kick descriptor; `kicked` runs after it has been read.
Result<Reactor::Watch> watch_kick(Reactor& reactor, int kick, std::function<void()> kicked);
// Kicks a queue on the driver's behalf: there is more to do, in the reactor's next round.
void kick_again(int kick);

class ServedQueue {
 public:
  struct Hooks {
    // One request. Gives the chain back by complete(), now or later. An error breaks the device.
    std::function<Result<>(Chain)> request;
    // Called last: may destroy the ServedQueue.
    std::function<void(const Error&)> broken;
  };
  static constexpr int kTurn = 64;

  // `active` must be set: invalid (protocol) when the driver left the queue disabled.
  static Result<std::unique_ptr<ServedQueue>> create(Reactor& reactor, DeviceContext& context, uint16_t index,
                                                     std::optional<ActiveQueue> active, Hooks hooks, int turn = kTurn);

  Result<> complete(Chain chain, uint32_t written) { return active_.queue.complete(std::move(chain), written); }
  // Answers what waits although nobody has kicked for it.
  Result<> look();
  // Interrupts if the driver wants it. Done after each turn; needed only after a complete() outside of one.
  Result<> tell();

 private:
  ServedQueue(DeviceContext& context, uint16_t index, ActiveQueue active, Hooks hooks, int turn)
      : context_(context), index_(index), active_(active), hooks_(std::move(hooks)), turn_(turn) {}
  void kicked();
  Result<bool> serve();  // whether there is more

  DeviceContext& context_;
  uint16_t index_;
  ActiveQueue active_;
  Hooks hooks_;
  int turn_;
  Reactor::Watch watch_;
};

}  // namespace msb::virtio
