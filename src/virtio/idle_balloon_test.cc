#include "virtio/idle_balloon.h"

#include <gtest/gtest.h>

#include "virtio/testing/balloon_guest.h"

namespace msb::virtio {
namespace {

using testing::BalloonGuest;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint16_t kAvailable = 6;

// A guest of 16 MiB; two are to be left to it.
struct Idle {
  Idle() {
    EXPECT_TRUE(guest.activated);
    guest.give_stats({});
    balloon = IdleBalloon::create(guest.rig.reactor(), guest.device,
                                  {.after = std::chrono::milliseconds(1),
                                   .settle = std::chrono::milliseconds(1),
                                   .reserve = 2 * kMiB,
                                   .worthwhile = kMiB})
                  .value();
  }
  bool asked() {
    return guest.rig.run_until([&] { return guest.stats_wanted(); });
  }
  BalloonGuest guest;
  std::unique_ptr<IdleBalloon> balloon;
};

TEST(IdleBalloon, IdleGuestIsLeftItsReserve) {
  Idle idle;
  ASSERT_TRUE(idle.asked());
  EXPECT_EQ(idle.guest.device.target(), 0u);
  idle.guest.give_stats({{kAvailable, 10 * kMiB}});
  EXPECT_EQ(idle.guest.device.target(), 8 * kMiB / 4096);
  EXPECT_TRUE(idle.balloon->inflated());
}

TEST(IdleBalloon, TargetIsLoweredToWhatTheGuestCouldGive) {
  Idle idle;
  ASSERT_TRUE(idle.asked());
  idle.guest.give_stats({{kAvailable, 10 * kMiB}});
  idle.guest.set_actual(1000);
  EXPECT_TRUE(idle.guest.rig.run_until([&] { return idle.guest.device.target() == 1000; }));
}

TEST(IdleBalloon, ActivityGivesEverythingBackAndTheWaitBeginsAnew) {
  Idle idle;
  ASSERT_TRUE(idle.asked());
  idle.guest.give_stats({{kAvailable, 10 * kMiB}});
  idle.balloon->on_activity();
  EXPECT_EQ(idle.guest.device.target(), 0u);
  EXPECT_FALSE(idle.balloon->inflated());
  EXPECT_TRUE(idle.asked());
}

TEST(IdleBalloon, GuestShortOfMemoryGetsEverythingBack) {
  Idle idle;
  ASSERT_TRUE(idle.asked());
  idle.guest.give_stats({{kAvailable, 10 * kMiB}});
  idle.guest.inflate(2048);
  idle.guest.deflate(256);
  EXPECT_EQ(idle.guest.device.target(), 0u);
}

TEST(IdleBalloon, AnswerAfterActivityChangesNothing) {
  Idle idle;
  ASSERT_TRUE(idle.asked());
  idle.balloon->on_activity();
  idle.guest.give_stats({{kAvailable, 10 * kMiB}});
  EXPECT_EQ(idle.guest.device.target(), 0u);
}

TEST(IdleBalloon, LittleToGainIsLeftAlone) {
  Idle idle;
  ASSERT_TRUE(idle.asked());
  idle.guest.give_stats({{kAvailable, 3 * kMiB - 1}});
  EXPECT_EQ(idle.guest.device.target(), 0u);
  EXPECT_FALSE(idle.balloon->inflated());
}

TEST(IdleBalloon, ImpossibleStatisticsAskForNoMoreThanThereIs) {
  Idle idle;
  ASSERT_TRUE(idle.asked());
  idle.guest.give_stats({{kAvailable, ~uint64_t{0}}});
  EXPECT_EQ(idle.guest.device.target(), 4096u);
}

}  // namespace
}  // namespace msb::virtio
