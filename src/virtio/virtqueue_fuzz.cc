// A ring from a stranger: the first bytes say how the device drives its end, the rest is the guest's memory, rings and
// all. Every buffer handed out must lie in memory (each is touched, in heap blocks of exact size), and an input does
// bounded work.
#include <algorithm>
#include <cstdlib>
#include <deque>

#include "virtio/testing/ring_builder.h"

namespace {

using namespace msb;
using namespace msb::virtio;
using msb::virtio::testing::GuestRam;

void require(bool condition) {
  if (!condition) std::abort();
}

// Inside one of the regions, wholly.
bool is_in(const GuestMemory& memory, MutableByteView view) {
  return std::ranges::any_of(memory.regions(), [&](const GuestMemory::Region& region) {
    return view.data() >= region.host && view.size() <= region.size &&
           static_cast<uint64_t>(view.data() - region.host) <= region.size - view.size();
  });
}

uint64_t check(const GuestMemory& memory, std::span<const MutableByteView> views) {
  uint64_t sum = 0;
  for (MutableByteView view : views) {
    require(!view.empty() && is_in(memory, view));
    sum += view.size();
    // Sanitizers judge the ends; the guest sees its own bytes back.
    view.front() = static_cast<uint8_t>(view.front());
    view.back() = static_cast<uint8_t>(view.back());
  }
  return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteReader reader({data, size});
  const auto flags = reader.le<uint8_t>();
  const auto shape = reader.le<uint8_t>();
  const auto start = reader.le<uint16_t>();
  if (!flags || !shape || !start) return 0;
  const uint64_t features =
      kFeatureVersion1 | (*flags & 1 ? kFeatureIndirect : 0) | (*flags & 2 ? kFeatureEventIndex : 0);
  // A whole ring of its own region each, then a region of data: nothing lies behind a ring but the end of a heap block.
  const uint16_t count = static_cast<uint16_t>(1u << (*shape % 7));
  const uint64_t descriptors = uint64_t{count} * 16;
  const uint64_t driver = (6 + uint64_t{count} * 2 + 15) / 16 * 16;
  const uint64_t device = (6 + uint64_t{count} * 8 + 15) / 16 * 16;
  GuestRam ram(std::vector<GuestRam::Block>{
      {0x1000, descriptors}, {0x2000, driver}, {0x3000, device}, {0x4000, 0x1000}, {uint64_t{1} << 32, 0x100}});
  QueueLayout layout{.size = count,
                     .ready = true,
                     .descriptors = GuestAddress{0x1000},
                     .driver = GuestAddress{0x2000},
                     .device = GuestAddress{0x3000}};
  if (*flags & 4) layout.driver = GuestAddress{0x1000};  // rings over each other
  if (*flags & 8) layout.device = GuestAddress{0x1000};
  for (const GuestMemory::Region& region : ram.memory().regions()) {
    const auto bytes = reader.take(std::min<size_t>(reader.remaining(), region.size));
    ram.put(GuestAddress{region.base}, *bytes);
  }
  auto queue = Queue::activate(ram.memory(), layout, 256, features, {*start, *start});
  if (!queue) return 0;

  std::deque<Chain> working;
  for (int step = 0; step < 200; ++step) {
    if (step % 7 == 3) queue->disable_kicks();
    auto chain = queue->pop();
    if (!chain) break;
    if (*chain) {
      require((*chain)->readable().size() + (*chain)->writable().size() <= kMaxDescriptors);
      require(check(ram.memory(), (*chain)->readable()) == (*chain)->readable_bytes());
      require(check(ram.memory(), (*chain)->writable()) == (*chain)->writable_bytes());
      require((*chain)->readable_bytes() + (*chain)->writable_bytes() <= 0xffffffffu);
      Bytes some(64);
      const size_t read = (*chain)->read(step, some);
      (void)(*chain)->write(step, ByteView(some).first(read));
      working.push_back(std::move(**chain));
    } else if (!queue->enable_kicks().value_or(true) && working.empty()) {
      break;
    }
    if (working.size() > (*shape >> 4)) {
      const auto written = static_cast<uint32_t>(working.front().writable_bytes());
      require(queue->complete(std::move(working.front()), written).has_value());
      working.pop_front();
      (void)queue->wants_interrupt();
    }
  }
  return 0;
}
