#include "virtio/balloon_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "virtio/testing/balloon_guest.h"

namespace msb::virtio {
namespace {

using testing::BalloonGuest;
using testing::Buffer;
using testing::Direction;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using testing::RecordingReleaser;

uint32_t config_at(const BalloonDevice& device, uint32_t offset) {
  std::array<uint8_t, 4> raw;
  device.read_config(offset, raw);
  return load_le<uint32_t>(raw.data());
}

TEST(BalloonDevice, TargetShowsInConfigurationAndTellsTheGuestOnce) {
  BalloonGuest guest;
  guest.device.set_target(100);
  guest.device.set_target(100);
  EXPECT_EQ(config_at(guest.device, 0), 100u);
  EXPECT_EQ(guest.rig.context().config_changes(), 1u);
  guest.device.set_target(1'000'000);
  EXPECT_EQ(guest.device.target(), 4096u);  // never more than there is
}

TEST(BalloonDevice, TargetMayBeSetBeforeActivation) {
  testing::DeviceRig rig;
  RecordingReleaser releaser;
  BalloonDevice device(rig.reactor(), releaser, 4096);
  device.set_target(7);
  ASSERT_TRUE(rig.activate(device));
  EXPECT_EQ(config_at(device, 0), 7u);
}

TEST(BalloonDevice, ActualIsWhatTheGuestWrote) {
  BalloonGuest guest;
  guest.set_actual(42);
  EXPECT_EQ(guest.device.actual(), 42u);
  EXPECT_EQ(config_at(guest.device, 4), 42u);
  guest.device.write_config(0, Bytes{9, 9, 9, 9});
  guest.device.write_config(4, Bytes{9});
  guest.device.write_config(100, Bytes{9, 9, 9, 9});
  EXPECT_EQ(config_at(guest.device, 0), 0u);
  EXPECT_EQ(guest.device.actual(), 42u);
}

TEST(BalloonDevice, NeighboursAreReleasedInOneRunWhateverTheirOrder) {
  BalloonGuest guest;
  guest.tell(BalloonGuest::kInflate, {102, 100, 101, 200, 103, 101, 300, 301});
  EXPECT_THAT(guest.releaser.runs, ElementsAre(Pair(100, 4), Pair(200, 1), Pair(300, 2)));
}

TEST(BalloonDevice, DeflatingReleasesNothing) {
  BalloonGuest guest;
  guest.tell(BalloonGuest::kDeflate, {100, 101});
  EXPECT_THAT(guest.releaser.runs, IsEmpty());
  EXPECT_EQ(guest.rig.context().interrupts(BalloonGuest::kDeflate), 1u);
}

class PageOutsideMemory : public ::testing::TestWithParam<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Numbers, PageOutsideMemory, ::testing::Values(0, 15, 16 + 4096, 0x000fffff, 0xffffffff));

TEST_P(PageOutsideMemory, BreaksTheDevice) {
  BalloonGuest guest;
  guest.tell(BalloonGuest::kInflate, {GetParam()});
  EXPECT_TRUE(guest.rig.context().is_broken());
  EXPECT_THAT(guest.releaser.runs, IsEmpty());
}

TEST(BalloonDevice, RequestsOfOddOrExcessiveLengthBreakTheDevice) {
  for (size_t bytes : {size_t{3}, size_t{5}, BalloonDevice::kMaxPages * 4 + 4}) {
    BalloonGuest guest;
    auto& ring = guest.rig.ring(BalloonGuest::kInflate);
    ring.add({ring.out(Bytes(bytes, 0))});
    guest.rig.kick(BalloonGuest::kInflate);
    guest.rig.settle();
    EXPECT_TRUE(guest.rig.context().is_broken()) << bytes;
  }
}

TEST(BalloonDevice, ReportedBlocksAreReleased) {
  BalloonGuest guest;
  auto& ring = guest.rig.ring(BalloonGuest::kReporting);
  auto block = [](uint64_t page, uint32_t pages) {
    return Buffer{GuestAddress{page * 4096}, pages * 4096, Direction::device_writes};
  };
  ring.add_indirect({block(512, 512), block(1024, 512), block(2048, 1)});
  guest.rig.kick(BalloonGuest::kReporting);
  guest.rig.settle();
  EXPECT_THAT(guest.releaser.runs, ElementsAre(Pair(512, 1024), Pair(2048, 1)));
  EXPECT_EQ(ring.take_used()->length, 0u);
}

TEST(BalloonDevice, ReportedBlockIsNeverRoundedUp) {
  BalloonGuest guest;
  auto& ring = guest.rig.ring(BalloonGuest::kReporting);
  ring.add({Buffer{GuestAddress{100 * 4096 + 1}, 3 * 4096, Direction::device_writes}});
  ring.add({Buffer{GuestAddress{200 * 4096 + 1}, 4096, Direction::device_writes}});
  guest.rig.kick(BalloonGuest::kReporting);
  guest.rig.settle();
  EXPECT_THAT(guest.releaser.runs, ElementsAre(Pair(101, 2)));
}

TEST(BalloonDevice, ReportingIsTheThirdQueueOfADriverWithoutStatistics) {
  BalloonGuest guest({.features = ~(uint64_t{1} << 1), .disabled = {3}});
  ASSERT_TRUE(guest.activated);
  auto& ring = guest.rig.ring(2);
  ring.add({Buffer{GuestAddress{100 * 4096}, 4096, Direction::device_writes}});
  guest.rig.kick(2);
  guest.rig.settle();
  EXPECT_THAT(guest.releaser.runs, ElementsAre(Pair(100, 1)));
}

TEST(BalloonDevice, QueuesOfFeaturesNotTakenMayBeDisabled) {
  EXPECT_TRUE(BalloonGuest({.features = 0, .disabled = {2, 3}}).activated);
  EXPECT_FALSE(BalloonGuest({.disabled = {3}}).activated);
}

TEST(BalloonDevice, StatisticsAreAskedForAndAnswered) {
  BalloonGuest guest;
  std::vector<uint64_t> got;
  guest.device.request_stats(
      [&](const BalloonDevice::Stats& stats) { got = {stats.total, stats.free, stats.available, stats.caches}; });
  guest.give_stats({{6, 1}});  // the buffer the driver leaves at start answers nothing
  EXPECT_THAT(got, IsEmpty());
  ASSERT_TRUE(guest.stats_wanted());
  EXPECT_EQ(guest.rig.context().interrupts(BalloonGuest::kStats), 1u);
  guest.give_stats({{0, 11}, {4, 1}, {5, 2}, {6, 3}, {7, 4}, {99, 12}});
  EXPECT_THAT(got, ElementsAre(2, 1, 3, 4));
  EXPECT_FALSE(guest.stats_wanted());
}

TEST(BalloonDevice, StatisticsNotAskedForBreakTheDevice) {
  BalloonGuest guest;
  guest.give_stats({});
  guest.give_stats({{6, 1}});
  EXPECT_EQ(guest.rig.context().broken_because(), "a second buffer of memory statistics");
}

TEST(BalloonDevice, StatisticsOfABadFormAreReadAsFarAsTheyGo) {
  BalloonGuest guest;
  guest.give_stats({});
  uint64_t available = 0;
  guest.device.request_stats([&](const BalloonDevice::Stats& stats) { available = stats.available; });
  ASSERT_TRUE(guest.stats_wanted());
  auto& ring = guest.rig.ring(BalloonGuest::kStats);
  ring.add({ring.out(std::string_view("\6\0\5\0\0\0\0\0\0\0\6\0\7", 13))});
  guest.rig.kick(BalloonGuest::kStats);
  guest.rig.settle();
  EXPECT_EQ(available, 5u);
}

TEST(BalloonDevice, GuestThatTakesPagesBackIsUnderPressure) {
  BalloonGuest guest;
  int pressure = 0;
  guest.device.on_pressure([&] { ++pressure; });
  guest.device.set_target(1024);
  guest.inflate(1024);
  guest.deflate(256);
  EXPECT_EQ(pressure, 1);
}

TEST(BalloonDevice, GuestThatDeflatesAsToldOrMovesPagesIsNotUnderPressure) {
  BalloonGuest guest;
  int pressure = 0;
  guest.device.on_pressure([&] { ++pressure; });
  guest.device.set_target(1024);
  guest.inflate(512);
  for (int i = 0; i < 300; ++i) {
    guest.tell(BalloonGuest::kInflate, {100});
    guest.tell(BalloonGuest::kDeflate, {101});
  }
  guest.inflate(512);
  guest.device.set_target(0);
  guest.deflate(1024);
  EXPECT_EQ(pressure, 0);
}

TEST(BalloonDevice, ManyRequestsAreServedInTurns) {
  BalloonGuest guest;
  auto& ring = guest.rig.ring(BalloonGuest::kInflate);
  for (uint8_t i = 0; i < 16; ++i) ring.add({ring.out(Bytes{i, 1, 0, 0})});
  guest.rig.kick(BalloonGuest::kInflate);
  EXPECT_TRUE(guest.rig.run_until([&] { return ring.used_index() == 16; }));
  EXPECT_EQ(guest.releaser.runs.size(), 16u);
  EXPECT_GE(guest.rig.context().interrupts(BalloonGuest::kInflate), 1u);
}

TEST(BalloonDevice, ResetForgetsTheBalloonAndTheQuestion) {
  BalloonGuest guest;
  guest.give_stats({});
  guest.inflate(10);
  guest.rig.reset();
  EXPECT_EQ(guest.device.actual(), 0u);
  ASSERT_TRUE(guest.rig.activate(guest.device));
  guest.give_stats({});
  EXPECT_FALSE(guest.rig.context().is_broken());
}

}  // namespace
}  // namespace msb::virtio
