#include "virtio/idle_balloon.h"

#include <algorithm>

namespace msb::virtio {

Result<std::unique_ptr<IdleBalloon>> IdleBalloon::create(Reactor& reactor, BalloonDevice& balloon, Settings settings) {
  std::unique_ptr<IdleBalloon> idle(new IdleBalloon(balloon, settings));
  MSB_TRY(idle->timer_, Timer::create(reactor, [self = idle.get()] { self->timer(); }));
  MSB_CHECK(idle->timer_->arm(settings.after));
  balloon.on_pressure([self = idle.get()] { self->on_activity(); });
  return idle;
}

IdleBalloon::~IdleBalloon() {
  balloon_.on_pressure(nullptr);
  balloon_.request_stats(nullptr);
}

void IdleBalloon::on_activity() {
  touched_ = true;
  if (state_ == State::active) return;
  state_ = State::active;
  balloon_.set_target(0);
  // A timer that cannot be armed leaves the memory with the guest, which is safe.
  (void)timer_->arm(settings_.after);
}

void IdleBalloon::timer() {
  if (state_ == State::active && std::exchange(touched_, false)) {
    (void)timer_->arm(settings_.after);
  } else if (state_ == State::active) {
    state_ = State::asking;
    balloon_.request_stats([this](const BalloonDevice::Stats& stats) { inflate(stats); });
  } else if (state_ == State::inflating) {
    // What it has not given by now it would go on trying to give, five times a second.
    state_ = State::settled;
    balloon_.set_target(std::min(balloon_.target(), balloon_.actual()));
  }
}

void IdleBalloon::inflate(const BalloonDevice::Stats& stats) {
  if (state_ != State::asking) return;
  if (stats.available < settings_.reserve + settings_.worthwhile) return;
  state_ = State::inflating;
  const uint64_t pages = (stats.available - settings_.reserve) / BalloonDevice::kPage;
  balloon_.set_target(static_cast<uint32_t>(std::min<uint64_t>(pages, balloon_.pages())));
  (void)timer_->arm(settings_.settle);
}

}  // namespace msb::virtio
