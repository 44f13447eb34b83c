// Driver and device at one queue in any order of steps, against a model: two lists.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <deque>

#include "virtio/testing/ring_builder.h"

namespace msb::virtio {
namespace {

using testing::Buffer;
using testing::GuestRam;
using testing::RingBuilder;

struct Request {
  uint16_t head = 0;
  std::string text;       // what the device is to read
  uint64_t writable = 0;  // how much it may write
};

struct World {
  World(uint16_t size, uint64_t features, uint16_t start)
      : ram(uint64_t{64} << 10), ring(ram, size, features), queue([&] {
          ring.start_at(start);
          return Queue::activate(ram.memory(), ring.layout(), size, features, {start, start}).value();
        }()) {}

  GuestRam ram;
  RingBuilder ring;
  Queue queue;
  std::deque<Request> published;                   // not popped
  std::vector<std::pair<Chain, Request>> working;  // popped, not completed
  std::deque<std::pair<Request, uint32_t>> given;  // completed with a length, not taken
  bool asked_for_kick = false;                     // the device waits for one
  bool asked_for_interrupt = false;                // the driver waits for one
  size_t completed_since = 0;                      // the last wants_interrupt()
};

std::string text_of(const Chain& chain) {
  Bytes bytes(chain.readable_bytes());
  chain.read(0, bytes);
  return std::string(as_text(bytes));
}

void add(World& world) {
  const bool indirect = (world.ring.features() & kFeatureIndirect) != 0 && *rc::gen::arbitrary<bool>();
  const size_t room = indirect ? 12 : std::min<size_t>(world.ring.room(), 12);
  if (world.ring.room() == 0) return;
  const auto count = *rc::gen::inRange<size_t>(1, room + 1);
  const auto readable = *rc::gen::inRange<size_t>(0, count + 1);
  Request request;
  std::vector<Buffer> buffers;
  for (size_t i = 0; i < count; ++i) {
    const auto length = *rc::gen::inRange<uint32_t>(0, 9);
    if (i < readable) {
      const std::string text(length, static_cast<char>('a' + i));
      request.text += text;
      buffers.push_back(world.ring.out(text));
    } else {
      request.writable += length;
      buffers.push_back(world.ring.in(length));
    }
  }
  request.head = indirect ? world.ring.add_indirect(buffers) : world.ring.add(buffers);
  world.published.push_back(std::move(request));
  // A device that waits must be woken; what it is told when it does not wait is free.
  const bool kick = world.ring.needs_kick();
  RC_ASSERT(kick || !world.asked_for_kick);
  if (kick) world.asked_for_kick = false;
}

void pop(World& world) {
  auto popped = world.queue.pop();
  RC_ASSERT(popped.has_value());
  RC_ASSERT(popped->has_value() == !world.published.empty());
  if (world.published.empty()) return;
  Chain chain = std::move(**popped);
  Request request = world.published.front();
  world.published.pop_front();
  RC_ASSERT(chain.head() == request.head);
  RC_ASSERT(text_of(chain) == request.text);
  RC_ASSERT(chain.writable_bytes() == request.writable);
  world.working.emplace_back(std::move(chain), std::move(request));
}

void complete(World& world) {
  if (world.working.empty()) return;
  const auto which = *rc::gen::inRange<size_t>(0, world.working.size());
  auto [chain, request] = std::move(world.working[which]);
  world.working.erase(world.working.begin() + static_cast<std::ptrdiff_t>(which));
  const auto written = *rc::gen::inRange<uint32_t>(0, static_cast<uint32_t>(request.writable) + 1);
  RC_ASSERT(world.queue.complete(std::move(chain), written).has_value());
  world.given.emplace_back(std::move(request), written);
  ++world.completed_since;
}

void take(World& world) {
  const auto used = world.ring.take_used();
  RC_ASSERT(used.has_value() == !world.given.empty());
  if (world.given.empty()) return;
  RC_ASSERT(used->head == world.given.front().first.head);
  RC_ASSERT(used->length == world.given.front().second);
  world.given.pop_front();
}

void device_waits(World& world) {
  const auto more = world.queue.enable_kicks();
  RC_ASSERT(more.has_value());
  RC_ASSERT(*more == !world.published.empty());
  world.asked_for_kick = !*more;
}

void driver_waits(World& world) {
  world.ring.want_interrupts();
  // Like a driver: once asked, it looks again, and sleeps only when there is nothing.
  world.asked_for_interrupt = world.given.empty();
}

void device_signals(World& world) {
  const auto wanted = world.queue.wants_interrupt();
  RC_ASSERT(wanted.has_value());
  RC_ASSERT(*wanted || !world.asked_for_interrupt || world.completed_since == 0 || world.given.empty());
  if (*wanted || world.completed_since > 0) world.asked_for_interrupt = false;
  world.completed_since = 0;
}

RC_GTEST_PROP(QueueProperty, BehavesLikeTwoLists, ()) {
  const auto size = static_cast<uint16_t>(1u << *rc::gen::inRange(0, 6));
  const auto features = *rc::gen::element(uint64_t{kFeatureVersion1}, kFeatureVersion1 | kFeatureIndirect,
                                          kFeatureVersion1 | kFeatureEventIndex, uint64_t{RingBuilder::kAllFeatures});
  const auto start = *rc::gen::element<uint16_t>(0, 0x7ffe, 0xffff, 0xfff0);
  World world(size, features, start);
  using Step = void (*)(World&);
  const auto steps = *rc::gen::container<std::vector<Step>>(rc::gen::element<Step>(
      add, add, pop, pop, complete, complete, take, take, device_waits, driver_waits, device_signals));
  for (Step step : steps) step(world);
  // All that was published comes back.
  while (!world.published.empty()) pop(world);
  while (!world.working.empty()) complete(world);
  while (!world.given.empty()) take(world);
  RC_ASSERT(world.ring.room() == size);
  RC_ASSERT(!world.ring.has_used());
}

}  // namespace
}  // namespace msb::virtio
