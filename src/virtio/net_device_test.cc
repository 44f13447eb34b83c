#include "virtio/net_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <numeric>

#include "virtio/testing/device_rig.h"

namespace msb::virtio {
namespace {

using testing::Buffer;
using testing::DeviceRig;

constexpr uint16_t kReceive = 0;
constexpr uint16_t kTransmit = 1;

// Header and frame as the cable carries them.
Bytes frame_of(size_t bytes) {
  Bytes frame(kNetHeader + bytes);
  std::iota(frame.begin() + kNetHeader, frame.end(), uint8_t{1});
  return frame;
}

class NetDeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    SocketPair pair = make_socket_pair(SocketKind::messages).value();
    cable_ = std::move(pair.second);
    NetDevice::Settings settings;
    settings.mac = {2, 0x6d, 0x73, 0, 1, 2};
    settings.mtu = 1400;
    settings.cable = std::move(pair.first);
    settings.activity = [this] { ++activity_; };
    device_ = NetDevice::create(rig_.reactor(), std::move(settings)).value();
    ASSERT_TRUE(rig_.activate(*device_, {.queue_size = 64}));
  }

  std::vector<Buffer> offer(size_t buffers, uint32_t size) {
    std::vector<Buffer> offered;
    for (size_t i = 0; i < buffers; ++i) {
      offered.push_back(rig_.ring(kReceive).in(size));
      rig_.ring(kReceive).add({offered.back()});
    }
    rig_.kick(kReceive);
    return offered;
  }
  void put(const Bytes& message) {
    ASSERT_EQ(::send(cable_.get(), message.data(), message.size(), 0), static_cast<ssize_t>(message.size()));
  }
  Bytes take() {
    Bytes message(kNetHeader + kMaxFrame);
    const ssize_t got = ::recv(cable_.get(), message.data(), message.size(), MSG_DONTWAIT);
    message.resize(got < 0 ? 0 : static_cast<size_t>(got));
    return message;
  }

  DeviceRig rig_;
  Fd cable_;
  int activity_ = 0;
  std::unique_ptr<NetDevice> device_;
};

TEST_F(NetDeviceTest, ConfigurationHasAddressAndMtu) {
  std::array<uint8_t, 12> config;
  device_->read_config(0, config);
  EXPECT_THAT(config, ::testing::ElementsAre(2, 0x6d, 0x73, 0, 1, 2, 0, 0, 0, 0, 1400 & 0xff, 1400 >> 8));
}

TEST_F(NetDeviceTest, FrameOfTheGuestIsOneMessage) {
  const Bytes whole = frame_of(60);
  auto& ring = rig_.ring(kTransmit);
  ring.add({ring.out(ByteView(whole).first(12)), ring.out(ByteView(whole).subspan(12))});
  rig_.kick(kTransmit);
  rig_.settle();
  EXPECT_EQ(take(), whole);
  EXPECT_TRUE(ring.has_used());
  EXPECT_EQ(activity_, 1);
}

TEST_F(NetDeviceTest, FrameForTheGuestFillsAsManyBuffersAsItNeeds) {
  const auto buffers = offer(64, 1536);
  Bytes whole = frame_of(4000);
  put(whole);
  ASSERT_TRUE(rig_.run_until([&] { return rig_.ring(kReceive).has_used(); }));
  Bytes got;
  for (uint32_t length : {1536u, 1536u, 940u}) {
    const auto used = rig_.ring(kReceive).take_used();
    ASSERT_EQ(used->length, length);
    const Bytes part = rig_.ram().get(buffers[used->head].address, used->length);
    got.insert(got.end(), part.begin(), part.end());
  }
  EXPECT_FALSE(rig_.ring(kReceive).has_used());
  whole[10] = 3;  // num_buffers
  EXPECT_EQ(got, whole);
  EXPECT_EQ(rig_.context().interrupts(kReceive), 1u);
}

TEST_F(NetDeviceTest, FrameWaitsForBuffersAndNothingIsLost) {
  offer(2, 1536);
  put(frame_of(100));
  put(frame_of(5000));
  rig_.settle();
  EXPECT_EQ(rig_.ring(kReceive).take_used()->length, 112u);
  EXPECT_FALSE(rig_.ring(kReceive).has_used());
  offer(3, 1536);
  ASSERT_TRUE(rig_.run_until([&] { return rig_.ring(kReceive).has_used(); }));
  EXPECT_EQ(rig_.ring(kReceive).take_used()->length, 1536u);
}

TEST_F(NetDeviceTest, FullCableHoldsTheGuestBack) {
  auto& ring = rig_.ring(kTransmit);
  const Buffer large = ring.out(frame_of(60000));
  for (int i = 0; i < 60; ++i) ring.add({large});
  rig_.kick(kTransmit);
  rig_.settle();
  const size_t held = ring.in_flight();
  int taken = 0;
  for (Bytes message; !(message = take()).empty();) {
    EXPECT_EQ(message.size(), kNetHeader + 60000);
    ++taken;
    rig_.settle();
  }
  EXPECT_EQ(taken, 60);
  EXPECT_GT(held, 0u);
  EXPECT_FALSE(rig_.context().is_broken());
}

TEST_F(NetDeviceTest, WhatIsNoFrameIsDropped) {
  auto& ring = rig_.ring(kTransmit);
  ring.add({ring.out(Bytes(25))});
  ring.add({ring.out(Bytes(70000))});
  ring.add({ring.out(frame_of(60))});
  rig_.kick(kTransmit);
  rig_.settle();
  EXPECT_EQ(take().size(), kNetHeader + 60);
  EXPECT_TRUE(take().empty());
  EXPECT_FALSE(rig_.context().is_broken());
}

TEST_F(NetDeviceTest, UnpluggedCableLosesFramesAndNothingElse) {
  cable_.reset();
  offer(4, 1536);
  rig_.settle();
  auto& ring = rig_.ring(kTransmit);
  for (int i = 0; i < 3; ++i) ring.add({ring.out(frame_of(60))});
  rig_.kick(kTransmit);
  rig_.settle();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(ring.take_used());
  EXPECT_FALSE(rig_.context().is_broken());
}

TEST_F(NetDeviceTest, ReceiveBufferWithoutRoomBreaksTheDevice) {
  offer(1, 8);
  put(frame_of(60));
  rig_.settle();
  EXPECT_EQ(rig_.context().broken_because(), "a receive buffer that is not one piece with room for a header");
}

TEST_F(NetDeviceTest, GoesOnAfterAReset) {
  offer(4, 1536);
  put(frame_of(60));
  rig_.settle();
  rig_.reset();
  put(frame_of(80));
  ASSERT_TRUE(rig_.activate(*device_, {.queue_size = 64}));
  offer(64, 1536);
  ASSERT_TRUE(rig_.run_until([&] { return rig_.ring(kReceive).has_used(); }));
  EXPECT_EQ(rig_.ring(kReceive).take_used()->length, 92u);
}

TEST(NetDeviceFeatures, DriverWithoutLargeFramesIsRefused) {
  DeviceRig rig;
  SocketPair pair = make_socket_pair(SocketKind::messages).value();
  NetDevice::Settings settings;
  settings.cable = std::move(pair.first);
  auto device = NetDevice::create(rig.reactor(), std::move(settings)).value();
  EXPECT_FALSE(rig.activate(*device, {.features = ~(uint64_t{1} << 15)}));
}

}  // namespace
}  // namespace msb::virtio
