#include "virtio/pmem_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "virtio/testing/device_rig.h"

namespace msb::virtio {
namespace {

using testing::Buffer;
using testing::DeviceRig;

class Pmem : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(rig_.activate(device_)); }
  Bytes ask(std::string_view request) {
    Buffer answer = rig_.ring(0).in(4);
    rig_.ring(0).add({rig_.ring(0).out(request), answer});
    rig_.kick(0);
    rig_.settle();
    auto used = rig_.ring(0).take_used();
    return used ? rig_.ram().get(answer.address, used->length) : Bytes{};
  }
  DeviceRig rig_;
  PmemDevice device_{rig_.reactor(), {.start = 0x1'8000'0000, .size = 0x20'0000}};
};

TEST_F(Pmem, ConfigurationTellsTheRangeAndEndsInZeros) {
  std::array<uint8_t, 24> config;
  config.fill(0xff);
  device_.read_config(0, config);
  EXPECT_EQ(load_le<uint64_t>(&config[0]), 0x1'8000'0000u);
  EXPECT_EQ(load_le<uint64_t>(&config[8]), 0x20'0000u);
  EXPECT_EQ(load_le<uint64_t>(&config[16]), 0u);
}

TEST_F(Pmem, FlushIsDoneAtOnce) {
  EXPECT_EQ(ask(std::string_view("\0\0\0\0", 4)), (Bytes{0, 0, 0, 0}));
  EXPECT_EQ(rig_.context().interrupts(0), 1u);
}

TEST_F(Pmem, OtherRequestsFail) {
  EXPECT_EQ(ask(std::string_view("\1\0\0\0", 4)), (Bytes{0xff, 0xff, 0xff, 0xff}));
}

TEST_F(Pmem, ShortRequestBreaksTheDevice) {
  EXPECT_EQ(ask("abc"), Bytes{});
  EXPECT_EQ(rig_.context().broken_because(), "a pmem request without room for type or answer");
}

TEST_F(Pmem, RequestWithoutRoomForTheAnswerBreaksTheDevice) {
  rig_.ring(0).add({rig_.ring(0).out(std::string(4, '\0')), rig_.ring(0).in(3)});
  rig_.kick(0);
  rig_.settle();
  EXPECT_TRUE(rig_.context().is_broken());
}

}  // namespace
}  // namespace msb::virtio
