#include "virtio/entropy_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "virtio/testing/device_rig.h"

namespace msb::virtio {
namespace {

using testing::Buffer;
using testing::DeviceRig;

class Entropy : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(rig_.activate(device_)); }
  DeviceRig rig_;
  EntropyDevice device_{rig_.reactor()};
};

TEST_F(Entropy, FillsBuffersWithBytesThatDiffer) {
  std::set<Bytes> seen;
  for (int i = 0; i < 8; ++i) {
    Buffer buffer = rig_.ring(0).in(64);
    rig_.ring(0).add({buffer});
    rig_.kick(0);
    ASSERT_TRUE(rig_.run_until([&] { return rig_.ring(0).has_used(); }));
    EXPECT_EQ(rig_.ring(0).take_used()->length, 64u);
    seen.insert(rig_.ram().get(buffer.address, 64));
  }
  EXPECT_EQ(seen.size(), 8u);
  EXPECT_GE(rig_.context().interrupts(0), 1u);
}

TEST_F(Entropy, GivesAtMostItsCapAndLeavesTheRestAlone) {
  Buffer buffer = rig_.ring(0).in(16 << 10);
  rig_.ring(0).add({buffer});
  rig_.kick(0);
  rig_.settle();
  EXPECT_EQ(rig_.ring(0).take_used()->length, EntropyDevice::kMaxBytes);
  Bytes rest = rig_.ram().get(buffer.address, 16 << 10);
  rest.erase(rest.begin(), rest.begin() + EntropyDevice::kMaxBytes);
  EXPECT_THAT(rest, ::testing::Each(0));
}

TEST_F(Entropy, RequestOfSeveralPiecesIsFilledAcrossThem) {
  Buffer first = rig_.ring(0).in(10);
  Buffer second = rig_.ring(0).in(100);
  rig_.ring(0).add({first, second});
  rig_.kick(0);
  rig_.settle();
  EXPECT_EQ(rig_.ring(0).take_used()->length, 110u);
  EXPECT_THAT(rig_.ram().get(second.address, 100), ::testing::Contains(::testing::Ne(0)));
}

TEST_F(Entropy, RequestWithoutRoomBreaksTheDevice) {
  rig_.ring(0).add({rig_.ring(0).out("nothing to fill")});
  rig_.kick(0);
  rig_.settle();
  EXPECT_EQ(rig_.context().broken_because(), "a request for entropy without room for any");
}

TEST_F(Entropy, BrokenDeviceDoesNothingUntilItIsReset) {
  rig_.ring(0).set_available_index(500);
  rig_.kick(0);
  rig_.settle();
  ASSERT_TRUE(rig_.context().is_broken());
  rig_.ring(0).set_available_index(0);
  rig_.ring(0).add({rig_.ring(0).in(8)});
  rig_.kick(0);
  rig_.settle();
  EXPECT_FALSE(rig_.ring(0).has_used());
  EXPECT_EQ(rig_.context().times_broken(), 1u);
  rig_.reset();
  ASSERT_TRUE(rig_.activate(device_));
  rig_.ring(0).add({rig_.ring(0).in(8)});
  rig_.kick(0);
  rig_.settle();
  EXPECT_TRUE(rig_.ring(0).has_used());
}

TEST(EntropyDevice, ServesWhatWasPublishedBeforeActivation) {
  DeviceRig rig;
  EntropyDevice device(rig.reactor());
  rig.prepare(device, {});
  rig.ring(0).add({rig.ring(0).in(8)});
  ASSERT_TRUE(rig.activate_prepared());
  rig.settle();
  EXPECT_TRUE(rig.ring(0).has_used());
}

TEST(EntropyDevice, HasNoConfigurationSpace) {
  auto reactor = Reactor::create().value();
  EntropyDevice device(*reactor);
  std::array<uint8_t, 8> config;
  config.fill(0xff);
  device.read_config(0, config);
  EXPECT_THAT(config, ::testing::Each(0));
}

TEST(EntropyDevice, DisabledQueueIsRefused) {
  DeviceRig rig;
  EntropyDevice device(rig.reactor());
  EXPECT_FALSE(rig.activate(device, {.disabled = {0}}));
}

}  // namespace
}  // namespace msb::virtio
