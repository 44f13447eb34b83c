#include "virtio/queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "virtio/testing/ring_builder.h"

namespace msb::virtio {
namespace {

using testing::Buffer;
using testing::Direction;
using testing::GuestRam;
using testing::RingBuilder;

constexpr uint64_t kPlain = kFeatureVersion1;

Queue activate(RingBuilder& ring) {
  return Queue::activate(ring.ram().memory(), ring.layout(), kMaxQueueSize, ring.features()).value();
}

// The error of popping what a hostile driver wrote.
std::string refusal(Queue& queue) {
  auto popped = queue.pop();
  if (popped) return "popped";
  EXPECT_EQ(popped.error().kind(), ErrorKind::protocol);
  return popped.error().message();
}

TEST(Queue, HandsOutAChainWithItsReadableAndWritableBuffersInOrder) {
  GuestRam ram;
  RingBuilder ring(ram, 8);
  Queue queue = activate(ring);
  const Buffer in = ring.in(4);
  const Buffer in2 = ring.in(8);
  ring.add({ring.out("head"), ring.out("er"), in, in2});

  Chain chain = std::move(queue.pop().value().value());
  ASSERT_EQ(chain.readable().size(), 2u);
  ASSERT_EQ(chain.writable().size(), 2u);
  EXPECT_EQ(as_text(chain.readable()[1]), "er");
  EXPECT_EQ(chain.readable_bytes(), 6u);
  EXPECT_EQ(chain.writable_bytes(), 12u);
  Bytes request(10);
  EXPECT_EQ(chain.read(0, request), 6u);
  EXPECT_EQ(as_text(ByteView(request).first(6)), "header");
  EXPECT_EQ(chain.write(0, as_bytes("answered")), 8u);
  ASSERT_TRUE(queue.complete(std::move(chain), 8));

  const auto used = ring.take_used().value();
  EXPECT_EQ(used.length, 8u);
  EXPECT_EQ(ram.text(in.address, 4), "answ");
  EXPECT_EQ(ram.text(in2.address, 8), std::string("ered\0\0\0\0", 8));
  EXPECT_FALSE(queue.pop().value());
}

TEST(Queue, ReadsAndWritesAtOffsetsAcrossBuffers) {
  GuestRam ram;
  RingBuilder ring(ram, 8);
  Queue queue = activate(ring);
  const Buffer a = ring.in(3);
  const Buffer b = ring.in(3);
  ring.add({ring.out("abc"), ring.out("def"), ring.out("ghi"), a, b});
  Chain chain = std::move(queue.pop().value().value());
  Bytes some(5);
  EXPECT_EQ(chain.read(2, some), 5u);
  EXPECT_EQ(as_text(some), "cdefg");
  EXPECT_EQ(chain.read(8, some), 1u);
  EXPECT_EQ(chain.read(9, some), 0u);
  EXPECT_EQ(chain.read(~uint64_t{0}, some), 0u);
  EXPECT_EQ(chain.write(2, as_bytes("XYZW...")), 4u);
  EXPECT_EQ(ram.text(a.address, 3), std::string("\0\0X", 3));
  EXPECT_EQ(ram.text(b.address, 3), "YZW");
  const auto range = chain.readable_range(2, 5);
  ASSERT_EQ(range.size(), 3u);
  EXPECT_EQ(as_text(range[0]), "c");
  EXPECT_EQ(as_text(range[1]), "def");
  EXPECT_EQ(as_text(range[2]), "g");
  EXPECT_TRUE(chain.writable_range(6, 1).empty());
  EXPECT_EQ(chain.writable_range(5, 100).at(0).size(), 1u);
}

TEST(Queue, FollowsAnIndirectTable) {
  GuestRam ram;
  RingBuilder ring(ram, 2);
  Queue queue = activate(ring);
  std::vector<Buffer> buffers;
  for (int i = 0; i < 40; ++i) buffers.push_back(ring.out("x"));
  for (int i = 0; i < 40; ++i) buffers.push_back(ring.in(2));
  ring.add_indirect(buffers);
  Chain chain = std::move(queue.pop().value().value());
  EXPECT_EQ(chain.readable().size(), 40u);
  EXPECT_EQ(chain.writable().size(), 40u);
  Chain moved = std::move(chain);
  EXPECT_EQ(moved.readable_bytes(), 40u);
  EXPECT_EQ(moved.writable()[39].data(), ram.memory().slice(buffers[79].address, 2)->data());
}

TEST(Queue, FollowsAnIndirectTableAtTheEndOfAChainAndIgnoresItsWriteFlag) {
  GuestRam ram;
  RingBuilder ring(ram, 8);
  Queue queue = activate(ring);
  const Buffer first = ring.out("first");
  const Buffer rest = ring.out("rest");
  const auto table = ring.table({{to_number(rest.address), 4, 0, 0}});
  ring.set_descriptor(3, {to_number(first.address), 5, RingBuilder::kNext, 5});
  ring.set_descriptor(5, {to_number(table), 16, RingBuilder::kIndirect | RingBuilder::kWrite, 0});
  ring.publish(3);
  Chain chain = std::move(queue.pop().value().value());
  ASSERT_EQ(chain.readable().size(), 2u);
  EXPECT_EQ(as_text(chain.readable()[1]), "rest");
  EXPECT_EQ(chain.head(), 3);
}

TEST(Queue, LeavesOutBuffersOfNoLengthWhereverTheyAre) {
  GuestRam ram;
  RingBuilder ring(ram, 8);
  Queue queue = activate(ring);
  ring.add({ring.out("a"), Buffer{GuestAddress{~uint64_t{0}}, 0, Direction::device_reads}, ring.in(1)});
  Chain chain = std::move(queue.pop().value().value());
  EXPECT_EQ(chain.readable().size(), 1u);
  EXPECT_EQ(chain.writable().size(), 1u);
}

TEST(Queue, AcceptsAChainThatFillsTheQueue) {
  GuestRam ram;
  RingBuilder ring(ram, 8);
  Queue queue = activate(ring);
  ring.add(std::vector<Buffer>(8, ring.out("12")));
  EXPECT_EQ(queue.pop().value()->readable_bytes(), 16u);
}

TEST(Queue, IndicesGoRound) {
  GuestRam ram;
  RingBuilder ring(ram, 4);
  Queue queue = activate(ring);
  const Buffer in = ring.in(1);
  for (uint32_t i = 0; i < 70000; ++i) {
    const uint16_t head = ring.add({in});
    Chain chain = std::move(queue.pop().value().value());
    ASSERT_TRUE(queue.complete(std::move(chain), 1));
    const auto used = ring.take_used();
    ASSERT_TRUE(used && used->head == head);
  }
  EXPECT_EQ(queue.position().next_available, static_cast<uint16_t>(70000));
  EXPECT_EQ(queue.position().next_used, static_cast<uint16_t>(70000));
}

TEST(Queue, CompletesInAnyOrder) {
  GuestRam ram;
  RingBuilder ring(ram, 4);
  Queue queue = activate(ring);
  const uint16_t first = ring.add({ring.in(10)});
  const uint16_t second = ring.add({ring.in(20)});
  Chain one = std::move(queue.pop().value().value());
  Chain two = std::move(queue.pop().value().value());
  ASSERT_TRUE(queue.complete(std::move(two), 20));
  ASSERT_TRUE(queue.complete(std::move(one), 10));
  EXPECT_EQ(ring.take_used()->head, second);
  EXPECT_EQ(ring.take_used()->head, first);
}

TEST(Queue, ContinuesWhereASavedOneWas) {
  GuestRam ram;
  RingBuilder ring(ram, 4);
  Queue before = activate(ring);
  ring.add({ring.in(1)});
  ASSERT_TRUE(before.complete(std::move(before.pop().value().value()), 1));
  ring.add({ring.out("later"), ring.in(1)});
  auto after = Queue::activate(ram.memory(), ring.layout(), 4, ring.features(), before.position()).value();
  EXPECT_EQ(after.pop().value()->readable_bytes(), 5u);
  EXPECT_FALSE(after.has_available().value());
}

TEST(Queue, RefusesLayoutsThatCannotBe) {
  GuestRam ram({{0x1000, 0x1000}});
  const QueueLayout good{.size = 16,
                         .ready = true,
                         .descriptors = GuestAddress{0x1000},
                         .driver = GuestAddress{0x1100},
                         .device = GuestAddress{0x1f00}};
  const auto activates = [&](QueueLayout layout, uint16_t max_size = 64) {
    auto queue = Queue::activate(ram.memory(), layout, max_size, kPlain);
    EXPECT_TRUE(queue || queue.error().kind() == ErrorKind::protocol);
    return queue.has_value();
  };
  const auto with = [&](auto change) {
    QueueLayout layout = good;
    change(layout);
    return layout;
  };
  EXPECT_TRUE(activates(good));
  EXPECT_FALSE(activates(good, 8));
  EXPECT_FALSE(activates(with([](auto& l) { l.size = 0; })));
  EXPECT_FALSE(activates(with([](auto& l) { l.size = 12; })));
  EXPECT_FALSE(activates(with([](auto& l) { l.size = 0xffff; })));
  EXPECT_FALSE(activates(with([](auto& l) { l.size = 2048; }), 0xffff));
  EXPECT_FALSE(activates(with([](auto& l) { l.descriptors = GuestAddress{0x1008}; })));
  EXPECT_FALSE(activates(with([](auto& l) { l.driver = GuestAddress{0x1101}; })));
  EXPECT_FALSE(activates(with([](auto& l) { l.device = GuestAddress{0x1f02}; })));
  EXPECT_FALSE(activates(with([](auto& l) { l.descriptors = GuestAddress{0x1f10}; })));
  EXPECT_FALSE(activates(with([](auto& l) { l.driver = GuestAddress{0x1fdc}; })));  // 38 bytes are needed
  EXPECT_TRUE(activates(with([](auto& l) { l.driver = GuestAddress{0x1fda}; })));
  EXPECT_FALSE(activates(with([](auto& l) { l.device = GuestAddress{0x1f7c}; })));  // 134 bytes are needed
  EXPECT_TRUE(activates(with([](auto& l) { l.device = GuestAddress{0x1f78}; })));
  EXPECT_FALSE(activates(with([](auto& l) { l.device = GuestAddress{~uint64_t{3}}; })));
}

TEST(QueueHostile, ADescriptorOutsideMemory) {
  GuestRam ram;
  RingBuilder ring(ram, 4);
  Queue queue = activate(ring);
  ring.set_descriptor(0, {0x10, 16, 0, 0});
  ring.publish(0);
  EXPECT_THAT(refusal(queue), ::testing::HasSubstr("outside memory"));
}

TEST(QueueHostile, ALengthThatRunsOutOfMemoryOrRound) {
  GuestRam ram(4096);
  RingBuilder ring(ram, 4);
  ring.set_descriptor(0, {GuestRam::kBase + 4000, 97, 0, 0});
  ring.set_descriptor(1, {~uint64_t{0} - 3, 0xffffffff, 0, 0});
  ring.publish(0);
  Queue queue = activate(ring);
  EXPECT_THAT(refusal(queue), ::testing::HasSubstr("outside memory"));
  ring.set_available_entry(0, 1);
  EXPECT_THAT(refusal(queue), ::testing::HasSubstr("outside memory"));
}

TEST(QueueHostile, LoopsOfEveryLength) {
  for (uint16_t length = 1; length <= 4; ++length) {
    GuestRam ram;
    RingBuilder ring(ram, 4);
    Queue queue = activate(ring);
    for (uint16_t i = 0; i < length; ++i)
      ring.set_descriptor(i, {GuestRam::kBase, 1, RingBuilder::kNext, static_cast<uint16_t>((i + 1) % length)});
    ring.publish(0);
    EXPECT_THAT(refusal(queue), ::testing::HasSubstr("loops"));
  }
}

TEST(QueueHostile, ALoopInsideAnIndirectTable) {
  GuestRam ram;
  RingBuilder ring(ram, 4);
  Queue queue = activate(ring);
  const auto table =
      ring.table({{GuestRam::kBase, 0, RingBuilder::kNext, 1}, {GuestRam::kBase, 0, RingBuilder::kNext, 0}});
  ring.set_descriptor(0, {to_number(table), 32, RingBuilder::kIndirect, 0});
  ring.publish(0);
  EXPECT_THAT(refusal(queue), ::testing::HasSubstr("loops"));
}

TEST(QueueHostile, AnIndirectTableLongerThanAnyChainMayBe) {
  GuestRam ram;
  RingBuilder ring(ram, 4);
  Queue queue = activate(ring);
  std::vector<RingBuilder::Descriptor> entries(kMaxDescriptors + 1);
  for (size_t i = 0; i < entries.size(); ++i)
    entries[i] = {GuestRam::kBase, 1, RingBuilder::kNext, static_cast<uint16_t>(i + 1)};
  entries.back().flags = 0;
  const auto table = ring.table(entries);
  ring.set_descriptor(0, {to_number(table), static_cast<uint32_t>(entries.size() * 16), RingBuilder::kIndirect, 0});
  ring.publish(0);
  EXPECT_THAT(refusal(queue), ::testing::HasSubstr("longer"));
  // One fewer is the most there may be.
  ring.ram().put(GuestAddress{to_number(table) + (kMaxDescriptors - 1) * 16 + 12}, Bytes{0, 0});
  EXPECT_EQ(queue.pop().value()->readable().size(), kMaxDescriptors);
}

struct IndirectCase {
  const char* name;
  RingBuilder::Descriptor descriptor;  // address 0: that of the table
  const char* refusal;
};
class BadIndirect : public ::testing::TestWithParam<IndirectCase> {};

TEST_P(BadIndirect, IsRefused) {
  GuestRam ram;
  RingBuilder ring(ram, 4);
  Queue queue = activate(ring);
  const auto nested = RingBuilder::Descriptor{GuestRam::kBase, 16, RingBuilder::kIndirect, 0};
  const auto table = ring.table({nested, {GuestRam::kBase, 1, RingBuilder::kNext, 2}});
  auto descriptor = GetParam().descriptor;
  if (descriptor.address == 0) descriptor.address = to_number(table);
  ring.set_descriptor(0, descriptor);
  ring.publish(0);
  EXPECT_THAT(refusal(queue), ::testing::HasSubstr(GetParam().refusal));
}

INSTANTIATE_TEST_SUITE_P(
    Queue, BadIndirect,
    ::testing::Values(IndirectCase{"nested", {0, 16, RingBuilder::kIndirect, 0}, "inside an indirect table"},
                      IndirectCase{
                          "with_next", {0, 16, RingBuilder::kIndirect | RingBuilder::kNext, 1}, "with a next one"},
                      IndirectCase{"empty", {0, 0, RingBuilder::kIndirect, 0}, "table of 0 bytes"},
                      IndirectCase{"odd_length", {0, 24, RingBuilder::kIndirect, 0}, "table of 24 bytes"},
                      IndirectCase{"outside", {0x40, 16, RingBuilder::kIndirect, 0}, "table outside memory"},
                      IndirectCase{"huge", {0, 0xfffffff0, RingBuilder::kIndirect, 0}, "table outside memory"}),
    [](const auto& info) { return info.param.name; });

TEST(QueueHostile, ANextBeyondTheTable) {
  GuestRam ram;
  RingBuilder ring(ram, 4);
  Queue queue = activate(ring);
  ring.set_descriptor(0, {GuestRam::kBase, 1, RingBuilder::kNext, 4});
  ring.publish(0);
  EXPECT_THAT(refusal(queue), ::testing::HasSubstr("continues at 4 of 4"));
  const auto table = ring.table({{GuestRam::kBase, 1, RingBuilder::kNext, 1}});
  ring.set_descriptor(0, {to_number(table), 16, RingBuilder::kIndirect, 0});
  EXPECT_THAT(refusal(queue), ::testing::HasSubstr("continues at 1 of 1"));
}

TEST(QueueHostile, IndirectWithoutTheFeature) {
  GuestRam ram;
  RingBuilder ring(ram, 4, kPlain);
  Queue queue = activate(ring);
  ring.add_indirect({ring.out("x")});
  EXPECT_THAT(refusal(queue), ::testing::HasSubstr("not negotiated"));
}

TEST(QueueHostile, AReadableBufferAfterAWritableOneEvenIfThatIsEmpty) {
  for (uint32_t length : {0u, 1u}) {
    GuestRam ram;
    RingBuilder ring(ram, 4);
    Queue queue = activate(ring);
    ring.add({ring.in(length), ring.out("x")});
    EXPECT_THAT(refusal(queue), ::testing::HasSubstr("after a writable one"));
  }
}

TEST(QueueHostile, AHeadBeyondTheTable) {
  GuestRam ram;
  RingBuilder ring(ram, 4);
  Queue queue = activate(ring);
  ring.publish(4);
  EXPECT_THAT(refusal(queue), ::testing::HasSubstr("descriptor 4 of 4"));
}

TEST(QueueHostile, AnIndexThatRunsAhead) {
  GuestRam ram;
  RingBuilder ring(ram, 4);
  Queue queue = activate(ring);
  ring.set_available_index(5);
  EXPECT_THAT(refusal(queue), ::testing::HasSubstr("runs ahead"));
  EXPECT_FALSE(queue.has_available());
  EXPECT_FALSE(queue.enable_kicks());
  ring.set_available_index(4);
  EXPECT_TRUE(queue.has_available().value());
  ring.set_available_index(0xffff);
  EXPECT_FALSE(queue.has_available());
}

TEST(QueueHostile, MoreThan32BitsOfBytes) {
  GuestRam ram(uint64_t{4} << 20);
  RingBuilder ring(ram, 64);
  Queue queue = activate(ring);
  // The same 4 MiB 1024 times would be 4 GiB.
  std::vector<RingBuilder::Descriptor> entries(1023, {GuestRam::kBase, 4 << 20, RingBuilder::kNext, 0});
  for (size_t i = 0; i < entries.size(); ++i) entries[i].next = static_cast<uint16_t>(i + 1);
  entries.back().flags = 0;
  const auto table = ring.table(entries);
  ring.set_descriptor(0, {GuestRam::kBase, 4 << 20, RingBuilder::kNext, 1});
  ring.set_descriptor(1, {to_number(table), 1023 * 16, RingBuilder::kIndirect, 0});
  ring.publish(0);
  EXPECT_THAT(refusal(queue), ::testing::HasSubstr("2^32"));
  ring.set_descriptor(0, {GuestRam::kBase, (4 << 20) - 1, RingBuilder::kNext, 1});
  EXPECT_EQ(queue.pop().value()->readable_bytes(), 0xffffffffu);
}

TEST(QueueHostile, ChangesOfTheLayoutAfterActivationHaveNoEffect) {
  GuestRam ram;
  RingBuilder ring(ram, 4);
  QueueLayout layout = ring.layout();
  auto queue = Queue::activate(ram.memory(), layout, 4, ring.features()).value();
  layout.size = 0x8000;
  layout.descriptors = GuestAddress{~uint64_t{15}};
  ring.add({ring.out("still")});
  EXPECT_EQ(queue.size(), 4);
  EXPECT_EQ(queue.pop().value()->readable_bytes(), 5u);
}

TEST(QueueInterrupts, WithTheFlagUnlessTheDriverRefuses) {
  GuestRam ram;
  RingBuilder ring(ram, 4, kPlain);
  Queue queue = activate(ring);
  EXPECT_FALSE(queue.wants_interrupt().value());  // nothing to tell
  const auto one = [&] {
    ring.add({ring.in(1)});
    EXPECT_TRUE(queue.complete(std::move(queue.pop().value().value()), 0));
    return queue.wants_interrupt().value();
  };
  EXPECT_TRUE(one());
  EXPECT_FALSE(queue.wants_interrupt().value());
  ring.refuse_interrupts();
  EXPECT_FALSE(one());
}

TEST(QueueInterrupts, WithEventIndexOnlyWhenTheIndexIsPassed) {
  GuestRam ram;
  RingBuilder ring(ram, 8);
  Queue queue = activate(ring);
  const auto complete = [&](int count) {
    for (int i = 0; i < count; ++i) {
      ring.add({ring.in(1)});
      EXPECT_TRUE(queue.complete(std::move(queue.pop().value().value()), 0));
    }
    const bool wanted = queue.wants_interrupt().value();
    while (ring.take_used()) {
    }
    return wanted;
  };
  ring.want_interrupts();
  EXPECT_TRUE(complete(1));
  EXPECT_FALSE(complete(1));  // the event index stands still: passed already
  ring.want_interrupt_after(4);
  EXPECT_FALSE(complete(2));  // 2 and 3
  EXPECT_TRUE(complete(3));   // 4 is among these
  ring.refuse_interrupts();
  EXPECT_FALSE(complete(8));
}

TEST(QueueInterrupts, WithEventIndexWhenItHasGoneRoundInOneBatch) {
  GuestRam ram;
  RingBuilder ring(ram, 4);
  Queue queue = activate(ring);
  const Buffer in = ring.in(1);
  for (uint32_t i = 0; i < 0x10000; ++i) {
    ring.add({in});
    ASSERT_TRUE(queue.complete(std::move(queue.pop().value().value()), 0));
    ASSERT_TRUE(ring.take_used());
  }
  EXPECT_TRUE(queue.wants_interrupt().value());
}

TEST(QueueKicks, AreWantedFromTheNextRequestOn) {
  for (uint64_t features : {kPlain, RingBuilder::kAllFeatures}) {
    GuestRam ram;
    RingBuilder ring(ram, 4, features);
    Queue queue = activate(ring);
    EXPECT_FALSE(queue.enable_kicks().value());
    ring.add({ring.out("x")});
    EXPECT_TRUE(ring.needs_kick());
    queue.disable_kicks();
    EXPECT_TRUE(queue.pop().value());
    ring.add({ring.out("y")});
    EXPECT_FALSE(ring.needs_kick());
    EXPECT_TRUE(queue.enable_kicks().value());  // the race is closed: y is there
    EXPECT_TRUE(queue.pop().value());
    EXPECT_FALSE(queue.enable_kicks().value());
    ring.add({ring.out("z")});
    EXPECT_TRUE(ring.needs_kick());
  }
}

// Two threads, no kicks: every request comes back once, with what it asked for.
TEST(QueueThreads, DriverAndDeviceAtTheSameTime) {
  constexpr uint32_t kRequests = 20000;
  GuestRam ram;
  RingBuilder ring(ram, 16);
  Queue queue = activate(ring);
  std::thread device([&] {
    for (uint32_t done = 0; done < kRequests;) {
      auto chain = std::move(queue.pop().value());
      if (!chain) {
        std::this_thread::yield();
        continue;
      }
      Bytes bytes(4);
      chain->read(0, bytes);
      const uint32_t written = chain->write(0, bytes);
      (void)queue.complete(std::move(*chain), written);
      ++done;
    }
  });
  const Buffer out{ram.allocate(4 * 16), 4, Direction::device_reads};
  const Buffer in{ram.allocate(4 * 16), 4, Direction::device_writes};
  const auto part = [](Buffer buffer, uint32_t slot) {
    buffer.address = GuestAddress{to_number(buffer.address) + slot * 4};
    return buffer;
  };
  uint32_t sent = 0;
  uint32_t right = 0;
  for (uint32_t received = 0; received < kRequests;) {
    while (sent < kRequests && sent - received < 8) {
      Bytes number(4);
      store_le<uint32_t>(number.data(), sent);
      ram.put(part(out, sent % 8).address, number);
      ring.add({part(out, sent % 8), part(in, sent % 8)});
      ++sent;
    }
    const auto used = ring.take_used();
    if (!used) {
      std::this_thread::yield();
      continue;
    }
    right += used->length == 4 && load_le<uint32_t>(ram.get(part(in, received % 8).address, 4).data()) == received;
    ++received;
  }
  device.join();
  EXPECT_EQ(right, kRequests);
}

}  // namespace
}  // namespace msb::virtio
