#include "kvm/io_bus.h"

#include <gtest/gtest.h>

namespace msb::kvm {
namespace {

IoBus::Handler says(uint8_t value) {
  return {[value](uint64_t offset, MutableByteView out) {
            for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<uint8_t>(value + offset + i);
          },
          [](uint64_t, ByteView) {}};
}

Bytes read(const IoBus& bus, uint64_t address, size_t length) {
  Bytes out(length);
  bus.read(address, out);
  return out;
}

TEST(IoBus, an_access_goes_to_the_device_of_its_range_with_the_offset_inside) {
  IoBus bus;
  ASSERT_TRUE(bus.add(0x200, 8, says(0x20)));
  ASSERT_TRUE(bus.add(0x100, 8, says(0x10)));
  EXPECT_EQ(read(bus, 0x100, 1), Bytes({0x10}));
  EXPECT_EQ(read(bus, 0x206, 2), Bytes({0x26, 0x27}));
}

TEST(IoBus, nobody_there_reads_as_all_ones) {
  IoBus bus;
  ASSERT_TRUE(bus.add(0x100, 8, says(0)));
  EXPECT_EQ(read(bus, 0xff, 1), Bytes({0xff}));
  EXPECT_EQ(read(bus, 0x108, 4), Bytes({0xff, 0xff, 0xff, 0xff}));
  EXPECT_EQ(read(bus, UINT64_MAX, 1), Bytes({0xff}));
}

TEST(IoBus, an_access_across_the_end_of_a_device_reaches_nobody) {
  IoBus bus;
  bool written = false;
  IoBus::Handler handler = says(0);
  handler.write = [&](uint64_t, ByteView) { written = true; };
  ASSERT_TRUE(bus.add(0x100, 8, handler));
  EXPECT_EQ(read(bus, 0x106, 4), Bytes({0xff, 0xff, 0xff, 0xff}));
  bus.write(0x106, Bytes(4));
  EXPECT_FALSE(written);
  bus.write(0x104, Bytes(4));
  EXPECT_TRUE(written);
}

TEST(IoBus, ranges_that_overlap_are_refused) {
  IoBus bus;
  ASSERT_TRUE(bus.add(0x100, 0x10, says(0)));
  EXPECT_FALSE(bus.add(0x100, 0x10, says(0)));
  EXPECT_FALSE(bus.add(0x10f, 1, says(0)));
  EXPECT_FALSE(bus.add(0xff, 2, says(0)));
  EXPECT_TRUE(bus.add(0x110, 1, says(0)));
  EXPECT_TRUE(bus.add(0xff, 1, says(0)));
}

TEST(IoBus, empty_and_wrapping_ranges_are_refused) {
  IoBus bus;
  EXPECT_FALSE(bus.add(0x100, 0, says(0)));
  EXPECT_FALSE(bus.add(UINT64_MAX, 2, says(0)));
  EXPECT_TRUE(bus.add(UINT64_MAX, 1, says(0)));
}

}  // namespace
}  // namespace msb::kvm
