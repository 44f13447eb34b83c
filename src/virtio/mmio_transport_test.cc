#include "virtio/mmio_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <thread>

#include "virtio/testing/device_thread.h"
#include "virtio/testing/echo_device.h"
#include "virtio/testing/mmio_driver.h"

namespace msb::virtio {
namespace {

using testing::Buffer;
using testing::DeviceThread;
using testing::EchoDevice;
using testing::GuestRam;
using testing::MmioDriver;
using testing::RingBuilder;

constexpr uint64_t kFeatures = RingBuilder::kAllFeatures;

// The test's thread is the vCPU; the device has a thread of its own.
class MmioTransportTest : public ::testing::Test {
 protected:
  MmioTransportTest() : interrupt_(::eventfd(0, EFD_CLOEXEC)), device_(&thread_.reactor()) {
    transport_ = MmioTransport::create(device_, {.memory = &ram_.memory(),
                                                 .device_thread = &thread_.mailbox(),
                                                 .interrupt = [this] { ::eventfd_write(interrupt_.get(), 1); },
                                                 .log = [this](std::string_view line) { log_ += line; }})
                     .value();
    driver_.emplace(*transport_);
  }
  ~MmioTransportTest() override {
    thread_.run([this] { transport_.reset(); });
  }

  // Waits for an interrupt and returns its causes, acknowledged.
  uint32_t wait_for_interrupt() {
    eventfd_t count = 0;
    (void)::eventfd_read(interrupt_.get(), &count);
    return driver_->take_interrupts();
  }
  bool interrupted() const {
    pollfd poll{interrupt_.get(), POLLIN, 0};
    return ::poll(&poll, 1, 0) == 1;
  }
  // One request through queue 0.
  std::string echo(RingBuilder& ring, std::string_view text) {
    const Buffer in = ring.in(static_cast<uint32_t>(text.size()));
    ring.want_interrupts();
    ring.add({ring.out(text), in});
    driver_->kick(0);
    EXPECT_EQ(wait_for_interrupt(), 1u);
    const auto used = ring.take_used();
    return used ? ram_.text(in.address, used->length) : "nothing";
  }

  GuestRam ram_;
  Fd interrupt_;
  DeviceThread thread_;
  EchoDevice device_;
  std::string log_;
  std::unique_ptr<MmioTransport> transport_;
  std::optional<MmioDriver> driver_;
};

TEST_F(MmioTransportTest, ShowsWhatItIs) {
  EXPECT_EQ(driver_->read(MmioDriver::kMagic), 0x74726976u);
  EXPECT_EQ(driver_->read(MmioDriver::kVersion), 2u);
  EXPECT_EQ(driver_->read(MmioDriver::kDeviceId), 3u);
  EXPECT_EQ(driver_->device_features(), EchoDevice::kFeatures | kFeatures);
  EXPECT_EQ(driver_->read(MmioDriver::kQueueSizeMax), 64u);
  driver_->write(MmioDriver::kQueueSelect, 1);
  EXPECT_EQ(driver_->read(MmioDriver::kQueueSizeMax), 8u);
  driver_->write(MmioDriver::kQueueSelect, 2);
  EXPECT_EQ(driver_->read(MmioDriver::kQueueSizeMax), 0u);
  EXPECT_EQ(driver_->read(0xb0), 0xffffffffu);  // no shared memory
  EXPECT_EQ(driver_->read(0xbc), 0xffffffffu);
  driver_->write(MmioDriver::kDeviceFeaturesSelect, 2);
  EXPECT_EQ(driver_->read(MmioDriver::kDeviceFeatures), 0u);
}

TEST_F(MmioTransportTest, CarriesRequestsOnceStarted) {
  RingBuilder ring(ram_, 16);
  ASSERT_TRUE(driver_->start(kFeatures | 1, {&ring}));
  EXPECT_EQ(echo(ring, "hello"), "hello");
  EXPECT_EQ(echo(ring, "again"), "again");
  thread_.run([&] {
    EXPECT_EQ(device_.activation().features, kFeatures | 1);
    EXPECT_TRUE(device_.activation().queues[0]);
    EXPECT_FALSE(device_.activation().queues[1]);
  });
}

TEST_F(MmioTransportTest, KicksByEventfdWork) {
  RingBuilder ring(ram_, 16);
  ASSERT_TRUE(driver_->start(kFeatures, {&ring}));
  ring.add({ring.in(1)});
  ASSERT_EQ(::eventfd_write(transport_->kick_fd(0), 1), 0);
  EXPECT_EQ(wait_for_interrupt(), 1u);
}

TEST_F(MmioTransportTest, ResetStopsTheDeviceAndItCanBeStartedAgain) {
  RingBuilder first(ram_, 16);
  ASSERT_TRUE(driver_->start(kFeatures, {&first}));
  EXPECT_EQ(echo(first, "one"), "one");
  driver_->reset();
  EXPECT_EQ(driver_->status(), 0u);
  EXPECT_EQ(device_.resets(), 1u);
  EXPECT_FALSE(device_.is_active());
  EXPECT_EQ(transport_->state().queues[0].size, 0);
  EXPECT_FALSE(transport_->state().queues[0].ready);
  RingBuilder second(ram_, 64);
  ASSERT_TRUE(driver_->start(kFeatures, {&second}));
  EXPECT_EQ(echo(second, "two"), "two");
  EXPECT_EQ(device_.activations(), 2u);
}

TEST_F(MmioTransportTest, ResetOfADeviceThatWasNeverStartedDoesNotTroubleIt) {
  driver_->reset();
  ASSERT_TRUE(driver_->negotiate(kFeatures));
  driver_->reset();
  EXPECT_EQ(device_.resets(), 0u);
}

TEST_F(MmioTransportTest, RefusesFeaturesThatWereNotOffered) {
  EXPECT_FALSE(driver_->negotiate(kFeatures | 2));
  EXPECT_FALSE(driver_->negotiate(kFeatures | uint64_t{1} << 63));
  EXPECT_FALSE(driver_->negotiate(kFeatures & ~kFeatureVersion1));
  EXPECT_TRUE(driver_->negotiate(kFeatureVersion1));
}

TEST_F(MmioTransportTest, RefusesFeaturesBeyondTheSixtyFourth) {
  driver_->add_status(status::kAcknowledge);
  driver_->add_status(status::kDriver);
  driver_->write_features(kFeatures);
  driver_->write(MmioDriver::kDriverFeaturesSelect, 2);
  driver_->write(MmioDriver::kDriverFeatures, 1);
  EXPECT_EQ(driver_->add_status(status::kFeaturesOk), status::kAcknowledge | status::kDriver);
}

TEST_F(MmioTransportTest, CanTryFeaturesAgainAfterARefusal) {
  EXPECT_FALSE(driver_->negotiate(kFeatures | 2));
  driver_->write_features(kFeatures);
  EXPECT_TRUE(driver_->add_status(status::kFeaturesOk) & status::kFeaturesOk);
}

TEST_F(MmioTransportTest, StatusBitsNeedTheStepBefore) {
  driver_->write(MmioDriver::kStatus, status::kDriverOk);
  driver_->write(MmioDriver::kStatus, status::kFeaturesOk | status::kDriverOk);
  driver_->write(MmioDriver::kStatus, status::kDriver);
  EXPECT_EQ(driver_->status(), 0u);
  driver_->write(MmioDriver::kStatus, status::kAcknowledge);
  EXPECT_EQ(driver_->add_status(status::kDriverOk), status::kAcknowledge);
  EXPECT_EQ(driver_->add_status(status::kDriver), status::kAcknowledge | status::kDriver);
  EXPECT_EQ(driver_->add_status(status::kDriverOk), status::kAcknowledge | status::kDriver);
  EXPECT_EQ(device_.activations(), 0u);
}

TEST_F(MmioTransportTest, AllStatusBitsAtOnceDoNotStartADeviceWithoutFeatures) {
  driver_->write(MmioDriver::kStatus, 0xf);
  EXPECT_EQ(driver_->status(), status::kAcknowledge | status::kDriver);
}

TEST_F(MmioTransportTest, AWriteThatClearsAStatusBitIsIgnored) {
  ASSERT_TRUE(driver_->negotiate(kFeatures));
  const uint32_t before = driver_->status();
  driver_->write(MmioDriver::kStatus, status::kAcknowledge);
  driver_->write(MmioDriver::kStatus, 0x100);
  driver_->write(MmioDriver::kStatus, status::kNeedsReset);
  EXPECT_EQ(driver_->status(), before);
}

TEST_F(MmioTransportTest, NothingStartsAfterFailed) {
  ASSERT_TRUE(driver_->negotiate(kFeatures));
  EXPECT_TRUE(driver_->add_status(status::kFailed) & status::kFailed);
  driver_->add_status(status::kDriverOk);
  EXPECT_EQ(device_.activations(), 0u);
  ASSERT_TRUE(driver_->start(kFeatures, {}));
}

TEST_F(MmioTransportTest, QueueRegistersAreClosedBeforeFeaturesAndAfterTheStart) {
  RingBuilder ring(ram_, 16);
  driver_->add_status(status::kAcknowledge);
  driver_->add_status(status::kDriver);
  driver_->write_queue(0, ring.layout());
  EXPECT_EQ(transport_->state().queues[0].size, 0);
  ASSERT_TRUE(driver_->start(kFeatures, {&ring}));
  QueueLayout other = ring.layout();
  other.size = 0x8000;
  other.descriptors = GuestAddress{~uint64_t{15}};
  other.ready = false;
  driver_->write_queue(0, other);
  driver_->write_features(0);
  EXPECT_EQ(transport_->state().queues[0].size, 16);
  EXPECT_EQ(driver_->read(MmioDriver::kQueueReady), 1u);
  EXPECT_EQ(echo(ring, "untouched"), "untouched");
}

TEST_F(MmioTransportTest, AReadyQueueIsChangedOnlyAfterItIsMadeUnready) {
  RingBuilder ring(ram_, 16);
  ASSERT_TRUE(driver_->negotiate(kFeatures));
  driver_->write_queue(0, ring.layout());
  driver_->write(MmioDriver::kQueueSize, 8);
  EXPECT_EQ(transport_->state().queues[0].size, 16);
  driver_->write(MmioDriver::kQueueReady, 0);
  EXPECT_EQ(driver_->read(MmioDriver::kQueueReady), 0u);
  driver_->write(MmioDriver::kQueueSize, 8);
  EXPECT_EQ(transport_->state().queues[0].size, 8);
}

TEST_F(MmioTransportTest, ASizeThatWouldBeFineInSixteenBitsIsNot) {
  RingBuilder ring(ram_, 16);
  ASSERT_TRUE(driver_->negotiate(kFeatures));
  driver_->write_queue(0, ring.layout());
  driver_->write(MmioDriver::kQueueReady, 0);
  driver_->write(MmioDriver::kQueueSize, 0x10010);
  driver_->write(MmioDriver::kQueueReady, 1);
  EXPECT_TRUE(driver_->add_status(status::kDriverOk) & status::kNeedsReset);
  EXPECT_EQ(device_.activations(), 0u);
}

TEST_F(MmioTransportTest, AQueueOutsideMemoryBreaksTheDeviceUntilReset) {
  RingBuilder ring(ram_, 16);
  QueueLayout bad = ring.layout();
  bad.device = GuestAddress{uint64_t{1} << 40};
  ASSERT_TRUE(driver_->negotiate(kFeatures));
  driver_->write_queue(0, bad);
  EXPECT_EQ(driver_->add_status(status::kDriverOk), 15u | status::kNeedsReset);
  EXPECT_EQ(wait_for_interrupt(), 2u);
  EXPECT_THAT(log_, ::testing::HasSubstr("used ring outside memory"));
  driver_->kick(0);
  ASSERT_TRUE(driver_->start(kFeatures, {&ring}));
  EXPECT_EQ(echo(ring, "recovered"), "recovered");
}

TEST_F(MmioTransportTest, ABrokenRingBreaksTheDeviceUntilReset) {
  RingBuilder ring(ram_, 16);
  ASSERT_TRUE(driver_->start(kFeatures, {&ring}));
  ring.set_available_index(0x4000);
  driver_->kick(0);
  EXPECT_EQ(wait_for_interrupt(), 2u);
  EXPECT_TRUE(driver_->status() & status::kNeedsReset);
  driver_->kick(0);
  driver_->add_status(status::kFailed);
  RingBuilder fresh(ram_, 16);
  ASSERT_TRUE(driver_->start(kFeatures, {&fresh}));
  EXPECT_EQ(echo(fresh, "recovered"), "recovered");
}

TEST_F(MmioTransportTest, AnActivationThatFailsBreaksTheDeviceUntilReset) {
  device_.fail_next_activation();
  EXPECT_FALSE(driver_->start(kFeatures, {}));
  EXPECT_THAT(log_, ::testing::HasSubstr("the test said so"));
  EXPECT_TRUE(driver_->start(kFeatures, {}));
}

TEST_F(MmioTransportTest, KicksOfQueuesThatAreNotThereAreIgnored) {
  RingBuilder ring(ram_, 16);
  driver_->kick(0);
  ASSERT_TRUE(driver_->start(kFeatures, {&ring}));
  driver_->kick(1);  // never enabled
  driver_->kick(2);
  driver_->kick(0xffffffff);
  driver_->kick(0x10000);
  EXPECT_EQ(echo(ring, "fine"), "fine");
}

TEST_F(MmioTransportTest, ConfigurationTakesAnyWidthAndEndsInZeros) {
  driver_->add_status(status::kAcknowledge);
  driver_->write(MmioDriver::kConfig, 0xffffffff);
  EXPECT_EQ(driver_->read(MmioDriver::kConfig), 0u);  // not without DRIVER
  driver_->add_status(status::kDriver);
  const Bytes bytes{1, 2, 3, 4, 5, 6, 7, 8};
  transport_->write(MmioDriver::kConfig, bytes);
  transport_->write(MmioDriver::kConfig + 9, ByteView(bytes).first(1));
  transport_->write(MmioDriver::kConfig + 11, bytes);
  transport_->write(kMmioWindow - 4, bytes);
  Bytes back(8, 0xaa);
  transport_->read(MmioDriver::kConfig + 2, back);
  EXPECT_EQ(back, (Bytes{3, 4, 5, 6, 7, 8, 0, 1}));
  transport_->read(MmioDriver::kConfig + 8, back);
  EXPECT_EQ(back, (Bytes{0, 1, 0, 1, 0, 0, 0, 0}));
  back.assign(8, 0xaa);
  transport_->read(kMmioWindow - 4, back);
  EXPECT_EQ(back, Bytes(8));
  back.assign(2, 0xaa);
  transport_->read(kMmioWindow - 2, back);
  EXPECT_EQ(back, Bytes(2));
}

TEST_F(MmioTransportTest, RegistersTakeOnlyAlignedWords) {
  for (size_t width : {1, 2, 3, 8}) {
    Bytes bytes(width, 0xaa);
    transport_->read(MmioDriver::kMagic, bytes);
    EXPECT_EQ(bytes, Bytes(width));
    bytes.assign(width, 1);
    transport_->write(MmioDriver::kStatus, bytes);
  }
  Bytes word(4, 0xaa);
  transport_->read(MmioDriver::kMagic + 2, word);
  EXPECT_EQ(word, Bytes(4));
  transport_->read(0xfe, word);
  EXPECT_EQ(word, Bytes(4));
  EXPECT_EQ(driver_->status(), 0u);
}

TEST_F(MmioTransportTest, ChangesOfTheConfigurationInterruptAndBumpTheGeneration) {
  ASSERT_TRUE(driver_->start(kFeatures, {}));
  const uint32_t before = driver_->read(MmioDriver::kConfigGeneration);
  thread_.run([&] { device_.activation().context->config_changed(); });
  EXPECT_EQ(wait_for_interrupt(), 2u);
  EXPECT_NE(driver_->read(MmioDriver::kConfigGeneration), before);
}

TEST_F(MmioTransportTest, AnInterruptIsPendingUntilAcknowledged) {
  ASSERT_TRUE(driver_->start(kFeatures, {}));
  thread_.run([&] {
    device_.activation().context->interrupt(0);
    device_.activation().context->config_changed();
  });
  EXPECT_EQ(driver_->read(MmioDriver::kInterruptStatus), 3u);
  driver_->write(MmioDriver::kInterruptAcknowledge, 1);
  EXPECT_EQ(driver_->read(MmioDriver::kInterruptStatus), 2u);
  driver_->reset();
  EXPECT_EQ(driver_->read(MmioDriver::kInterruptStatus), 0u);
  EXPECT_TRUE(interrupted());
}

// Several vCPUs at one device: one carries requests, others read, kick and write configuration all the while, one
// resets and restarts between.
TEST_F(MmioTransportTest, SeveralProcessorsAtOnce) {
  std::atomic<bool> stop = false;
  std::thread reader([&] {
    MmioDriver driver(*transport_);
    while (!stop) {
      for (uint64_t offset = 0; offset < 0x110; offset += 4) (void)driver.read(offset);
    }
  });
  std::thread kicker([&] {
    MmioDriver driver(*transport_);
    while (!stop) {
      for (uint32_t queue = 0; queue < 4; ++queue) driver.kick(queue);
      driver.write(MmioDriver::kConfig + 4, 7);
    }
  });
  for (int round = 0; round < 50; ++round) {
    RingBuilder ring(ram_, 8);
    ASSERT_TRUE(driver_->start(kFeatures, {&ring}));
    EXPECT_EQ(echo(ring, "ping"), "ping");
    driver_->reset();
    EXPECT_FALSE(device_.is_active());
  }
  stop = true;
  reader.join();
  kicker.join();
}

}  // namespace
}  // namespace msb::virtio
