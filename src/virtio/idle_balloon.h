// IdleBalloon: takes back the memory of a guest that does nothing, most of all its page cache, and returns it at the
// first sign of life.
//
//   active --(no activity for `after`)--> asks the guest what it has to spare
//          --(answer)--> inflates, leaving `reserve`; once, `settle` later, lowers the target to what was reached
//          --(activity, or the guest takes pages back because it is short)--> deflates fully, active again
//
// What the guest does not use at all comes back without this, by free-page reporting. The reserve is there for programs
// that wake up on their own: until they have used it up nothing is slower for them, after that the driver takes pages
// from the balloon before the guest's out-of-memory killer runs, and the balloon empties.
//
// Wake-ups: one every `after` while the guest is active; none once the balloon has settled. A guest that does not
// answer is left in peace until there has been activity again.
//
// Device thread. The balloon must outlive this.
#pragma once

#include <chrono>

#include "base/reactor.h"
#include "virtio/balloon_device.h"

namespace msb::virtio {

class IdleBalloon {
 public:
  struct Settings {
    std::chrono::milliseconds after{30'000};   // without activity; found out between one and two times this
    std::chrono::milliseconds settle{10'000};  // a guest gives up some 1 GiB a second
    uint64_t reserve = 64 << 20;               // bytes that stay available to the guest
    uint64_t worthwhile = 16 << 20;            // less to gain than this is not worth the page cache
  };

  static Result<std::unique_ptr<IdleBalloon>> create(Reactor& reactor, BalloonDevice& balloon, Settings settings);
  ~IdleBalloon();

  // Something happened that means work for the guest: bytes on the agent's port, a disk request, a packet. Cheap: a
  // flag, unless the balloon is inflated.
  void on_activity();
  // Whether memory has been taken, or is being.
  bool inflated() const { return state_ == State::inflating || state_ == State::settled; }

 private:
  enum class State { active, asking, inflating, settled };
  IdleBalloon(BalloonDevice& balloon, Settings settings) : balloon_(balloon), settings_(settings) {}
  void timer();
  void inflate(const BalloonDevice::Stats& stats);

  BalloonDevice& balloon_;
  Settings settings_;
  State state_ = State::active;
  bool touched_ = true;  // activity since the timer was armed
  std::unique_ptr<Timer> timer_;
};

}  // namespace msb::virtio
