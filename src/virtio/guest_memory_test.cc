#include "virtio/guest_memory.h"

#include <gtest/gtest.h>

#include <limits>

#include "virtio/testing/ring_builder.h"

namespace msb::virtio {
namespace {

using testing::GuestRam;

constexpr uint64_t kLast = std::numeric_limits<uint64_t>::max();

GuestAddress at(uint64_t address) {
  return GuestAddress{address};
}

TEST(GuestMemory, SlicesEveryByteOfARegionAndNoneBesides) {
  GuestRam ram({{0x1000, 0x1000}});
  const GuestMemory& memory = ram.memory();
  EXPECT_EQ(memory.slice(at(0x1000), 0x1000)->size(), 0x1000u);
  EXPECT_EQ(memory.slice(at(0x1fff), 1)->data(), memory.regions()[0].host + 0xfff);
  EXPECT_FALSE(memory.slice(at(0xfff), 1));
  EXPECT_FALSE(memory.slice(at(0xfff), 2));
  EXPECT_FALSE(memory.slice(at(0x2000), 1));
  EXPECT_FALSE(memory.slice(at(0x1fff), 2));
  EXPECT_FALSE(memory.slice(at(0x1000), 0x1001));
}

TEST(GuestMemory, RefusesLengthsThatWrapRound) {
  GuestRam ram({{0x1000, 0x1000}});
  EXPECT_FALSE(ram.memory().slice(at(0x1800), kLast));
  EXPECT_FALSE(ram.memory().slice(at(0x1800), kLast - 0x17ff));
  EXPECT_FALSE(ram.memory().slice(at(kLast), 1));
  EXPECT_FALSE(ram.memory().slice(at(kLast), kLast));
}

TEST(GuestMemory, RefusesARangeThatCrossesFromOneRegionToTheNext) {
  GuestRam ram({{0x1000, 0x1000}, {0x2000, 0x1000}});
  EXPECT_TRUE(ram.memory().slice(at(0x1000), 0x1000));
  EXPECT_TRUE(ram.memory().slice(at(0x2000), 0x1000));
  EXPECT_FALSE(ram.memory().slice(at(0x1ff8), 16));
}

TEST(GuestMemory, GivesAnEmptyViewAnywhereInRamOnly) {
  GuestRam ram({{0x1000, 0x1000}});
  EXPECT_TRUE(ram.memory().slice(at(0x1fff), 0)->empty());
  EXPECT_FALSE(ram.memory().slice(at(0x2000), 0));
}

TEST(GuestMemory, CopiesAllOrNothing) {
  GuestRam ram({{0x1000, 0x100}});
  const Bytes bytes = to_bytes("eight by");
  EXPECT_TRUE(ram.memory().write(at(0x10f8), bytes));
  EXPECT_FALSE(ram.memory().write(at(0x10f9), bytes));
  Bytes back(8, 'x');
  EXPECT_FALSE(ram.memory().read(at(0x10fc), back));
  EXPECT_EQ(as_text(back), "xxxxxxxx");
  EXPECT_TRUE(ram.memory().read(at(0x10f8), back));
  EXPECT_EQ(as_text(back), "eight by");
}

TEST(GuestMemory, LoadsAndStoresAlignedFieldsOnly) {
  GuestRam ram({{0x1000, 0x100}});
  EXPECT_TRUE(ram.memory().store<uint32_t>(at(0x10fc), 0x11223344));
  EXPECT_EQ(ram.memory().load<uint16_t>(at(0x10fe)), 0x1122);
  EXPECT_FALSE(ram.memory().load<uint16_t>(at(0x10fd)));
  EXPECT_FALSE(ram.memory().store<uint32_t>(at(0x10fe), 0));
  EXPECT_FALSE(ram.memory().load<uint64_t>(at(0x10fc)));
}

TEST(GuestMemory, RefusesRegionsThatAreNone) {
  alignas(16) uint8_t host[64];
  using Region = GuestMemory::Region;
  const auto kind = [](std::vector<Region> regions) { return GuestMemory::create(std::move(regions)).error().kind(); };
  EXPECT_EQ(kind({{0, host, 0}}), ErrorKind::invalid_config);
  EXPECT_EQ(kind({{0, nullptr, 16}}), ErrorKind::invalid_config);
  EXPECT_EQ(kind({{8, host, 16}}), ErrorKind::invalid_config);
  EXPECT_EQ(kind({{0, host + 1, 16}}), ErrorKind::invalid_config);
  EXPECT_EQ(kind({{0, host, 32}, {16, host, 16}}), ErrorKind::invalid_config);
  EXPECT_EQ(kind({{32, host, 16}, {0, host, 16}}), ErrorKind::invalid_config);
  EXPECT_EQ(kind({{kLast - 15, host, 16}}), ErrorKind::invalid_config);
  EXPECT_TRUE(GuestMemory::create({{0, host, 16}, {16, host + 16, 16}}));
}

}  // namespace
}  // namespace msb::virtio
