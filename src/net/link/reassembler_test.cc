#include "net/link/reassembler.h"

#include <gtest/gtest.h>

namespace msb::net {
namespace {

const Clock::time_point kStart{std::chrono::hours(1)};

struct Fragment {
  uint32_t id = 1;
  size_t offset = 0;
  size_t size = 8;
  bool more = true;
};

std::optional<IpPacket> add(Reassembler& reassembler, const Fragment& fragment, Clock::time_point now = kStart) {
  const Bytes bytes(fragment.size, static_cast<uint8_t>('a' + fragment.offset / 8));
  const IpHeader header{.source = Ip::v4(10, 0, 0, 2),
                        .destination = Ip::v4(10, 0, 0, 1),
                        .protocol = kUdp,
                        .id = fragment.id,
                        .offset = static_cast<uint16_t>(fragment.offset),
                        .more = fragment.more};
  return reassembler.add({header, bytes}, now);
}

TEST(Reassembler, OrderDoesNotMatter) {
  Reassembler reassembler;
  EXPECT_FALSE(add(reassembler, {.offset = 16, .size = 3, .more = false}));
  EXPECT_FALSE(add(reassembler, {.offset = 0}));
  const auto packet = add(reassembler, {.offset = 8});
  ASSERT_TRUE(packet);
  EXPECT_EQ(as_text(packet->payload), "aaaaaaaabbbbbbbbccc");
  EXPECT_FALSE(packet->header.is_fragment());
  EXPECT_EQ(reassembler.packets(), 0u);
}

TEST(Reassembler, PacketsAreToldApart) {
  Reassembler reassembler;
  add(reassembler, {.id = 1, .offset = 0});
  EXPECT_FALSE(add(reassembler, {.id = 2, .offset = 8, .more = false}));
  EXPECT_TRUE(add(reassembler, {.id = 1, .offset = 8, .more = false}));
}

TEST(Reassembler, AnOverlapGivesThePacketUp) {
  Reassembler reassembler;
  add(reassembler, {.offset = 8, .size = 16});
  add(reassembler, {.offset = 16, .size = 8});
  EXPECT_EQ(reassembler.packets(), 0u);
  add(reassembler, {.offset = 8, .size = 16});
  add(reassembler, {.offset = 0, .size = 16});
  EXPECT_EQ(reassembler.packets(), 0u);
}

TEST(Reassembler, WhatCannotBeAPacketIsGivenUp) {
  Reassembler reassembler;
  add(reassembler, {.offset = 0, .size = 7});
  EXPECT_EQ(reassembler.packets(), 0u);
  add(reassembler, {.offset = 65528, .size = 16});
  EXPECT_EQ(reassembler.packets(), 0u);
  add(reassembler, {.offset = 8, .more = false});
  add(reassembler, {.offset = 16});
  EXPECT_EQ(reassembler.packets(), 0u);
  add(reassembler, {.offset = 8, .more = false});
  add(reassembler, {.offset = 16, .more = false});
  EXPECT_EQ(reassembler.packets(), 0u);
}

TEST(Reassembler, PatienceEnds) {
  Reassembler reassembler;
  add(reassembler, {.id = 1});
  add(reassembler, {.id = 2}, kStart + Reassembler::kPatience);
  EXPECT_EQ(reassembler.packets(), 1u);
}

TEST(Reassembler, AStormIsBounded) {
  Reassembler reassembler;
  for (uint32_t id = 0; id < 10'000; ++id) add(reassembler, {.id = id, .offset = 60'000, .size = 1000});
  EXPECT_EQ(reassembler.packets(), Reassembler::kMostPackets);
  for (size_t i = 0; i <= Reassembler::kMostFragments; ++i) add(reassembler, {.id = 77'777, .offset = i * 16});
  EXPECT_EQ(reassembler.packets(), Reassembler::kMostPackets - 1);
}

}  // namespace
}  // namespace msb::net
