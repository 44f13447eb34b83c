#include "virtio/queue.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <limits>

namespace msb::virtio {
namespace {

// The rings (virtio 1.2, 2.7.5 to 2.7.8). All fields are little-endian, as is the host.
constexpr uint16_t kNext = 1;
constexpr uint16_t kWrite = 2;
constexpr uint16_t kIndirect = 4;
struct Descriptor {
  uint64_t address;
  uint32_t length;
  uint16_t flags;
  uint16_t next;
};
static_assert(sizeof(Descriptor) == 16);

constexpr uint16_t kNoInterrupt = 1;  // flags of the available ring
constexpr uint16_t kNoNotify = 1;     // flags of the used ring
// Both rings begin with flags and index, then come the entries and the event index.
constexpr size_t kFlags = 0;
constexpr size_t kIndex = 2;
constexpr size_t kEntries = 4;
constexpr size_t kAvailableEntry = 2;
constexpr size_t kUsedEntry = 8;

std::atomic_ref<uint16_t> field(MutableByteView ring, size_t offset) {
  return std::atomic_ref<uint16_t>(*reinterpret_cast<uint16_t*>(ring.subspan(offset, sizeof(uint16_t)).data()));
}

// One read of the bytes: what the guest changes afterwards changes nothing here.
Descriptor copy_descriptor(ByteView table, size_t index) {
  Descriptor descriptor;
  std::memcpy(&descriptor, table.subspan(index * sizeof(Descriptor), sizeof(Descriptor)).data(), sizeof(Descriptor));
  return descriptor;
}

tl::unexpected<Error> broke(std::string what) {
  return fail(ErrorKind::protocol, std::move(what));
}

Result<MutableByteView> ring_area(const GuestMemory& memory, GuestAddress address, uint64_t length, uint64_t alignment,
                                  std::string_view name) {
  if (to_number(address) % alignment != 0)
    return broke(cat("the driver put the ", name, " at the misaligned address ", to_number(address)));
  auto area = memory.slice(address, length);
  if (!area) return broke(cat("the driver put the ", name, " outside memory, at ", to_number(address)));
  return *area;
}

}  // namespace

Result<Queue> Queue::activate(const GuestMemory& memory, const QueueLayout& layout, uint16_t max_size,
                              uint64_t features, QueuePosition position) {
  const uint64_t size = layout.size;
  if (size == 0 || (size & (size - 1)) != 0 || size > std::min(max_size, kMaxQueueSize))
    return broke(cat("the driver chose ", size, " as size of a queue of at most ", max_size));
  Queue queue(memory, layout, (features & kFeatureIndirect) != 0, (features & kFeatureEventIndex) != 0, position);
  MSB_TRY(queue.descriptors_, ring_area(memory, layout.descriptors, size * sizeof(Descriptor), 16, "descriptor table"));
  MSB_TRY(queue.driver_, ring_area(memory, layout.driver, kEntries + size * kAvailableEntry + 2, 2, "available ring"));
  MSB_TRY(queue.device_, ring_area(memory, layout.device, kEntries + size * kUsedEntry + 2, 4, "used ring"));
  return queue;
}

Result<uint16_t> Queue::available() const {
  // Acquire: the entries and descriptors up to this index were written before it.
  const uint16_t index = field(driver_, kIndex).load(std::memory_order_acquire);
  const uint16_t count = static_cast<uint16_t>(index - position_.next_available);
  if (count > layout_.size)
    return broke(cat("the driver's index ", index, " runs ahead of ", position_.next_available, " by more than ",
                     layout_.size, " entries"));
  return count;
}

Result<bool> Queue::has_available() const {
  MSB_TRY(const uint16_t count, available());
  return count > 0;
}

Result<std::optional<Chain>> Queue::pop() {
  MSB_TRY(const uint16_t count, available());
  if (count == 0) return std::nullopt;
  const size_t entry = kEntries + size_t{slot(position_.next_available)} * kAvailableEntry;
  const uint16_t head = field(driver_, entry).load(std::memory_order_relaxed);
  if (head >= layout_.size) return broke(cat("the driver published descriptor ", head, " of ", layout_.size));
  std::optional<Chain> chain(Chain{head});
  MSB_CHECK(walk(*chain));
  ++position_.next_available;
  return chain;
}

Result<> Queue::walk(Chain& chain) const {
  ByteView table = descriptors_;
  size_t entries = layout_.size;  // of the table we are in
  size_t left = entries;          // descriptors that may still come from it: a loop has more
  size_t index = chain.head_;
  bool in_indirect = false;
  bool seen_writable = false;
  while (true) {
    if (left-- == 0) return broke("a chain of descriptors loops, or is longer than its queue");
    const Descriptor descriptor = copy_descriptor(table, index);

    if (descriptor.flags & kIndirect) {
      // 2.7.5.3: at the end of a chain, once; WRITE is to be ignored here.
      if (!indirect_) return broke("an indirect descriptor, though that feature was not negotiated");
      if (in_indirect) return broke("an indirect descriptor inside an indirect table");
      if (descriptor.flags & kNext) return broke("an indirect descriptor with a next one");
      if (descriptor.length == 0 || descriptor.length % sizeof(Descriptor) != 0)
        return broke(cat("an indirect table of ", descriptor.length, " bytes"));
      auto slice = memory_->slice(GuestAddress{descriptor.address}, descriptor.length);
      if (!slice) return broke(cat("an indirect table outside memory, at ", descriptor.address));
      table = *slice;
      entries = descriptor.length / sizeof(Descriptor);
      const size_t buffers_so_far = layout_.size - left - 1;
      left = std::min<size_t>(entries, kMaxDescriptors - buffers_so_far);
      index = 0;
      in_indirect = true;
      continue;
    }

    const bool writable = (descriptor.flags & kWrite) != 0;
    if (!writable && seen_writable) return broke("a readable buffer after a writable one");
    seen_writable = writable;
    if (descriptor.length > 0) {
      auto buffer = memory_->slice(GuestAddress{descriptor.address}, descriptor.length);
      if (!buffer)
        return broke(cat("a buffer of ", descriptor.length, " bytes outside memory, at ", descriptor.address));
      if (descriptor.length > std::numeric_limits<uint32_t>::max() - chain.readable_bytes_ - chain.writable_bytes_)
        return broke("a chain of more than 2^32 - 1 bytes");
      chain.append(*buffer);
      if (!writable) ++chain.readable_count_;
      (writable ? chain.writable_bytes_ : chain.readable_bytes_) += descriptor.length;
    }
    if (!(descriptor.flags & kNext)) return {};
    index = descriptor.next;
    if (index >= entries) return broke(cat("a descriptor continues at ", index, " of ", entries));
  }
}

Result<> Queue::complete(Chain chain, uint32_t written) {
  stage(std::move(chain), written);
  publish();
  return {};
}

void Queue::stage(Chain chain, uint32_t written) {
  assert(written <= chain.writable_bytes());
  const size_t entry = kEntries + size_t{slot(position_.next_used)} * kUsedEntry;
  store_le<uint32_t>(device_.subspan(entry, 4).data(), chain.head_);
  store_le<uint32_t>(device_.subspan(entry + 4, 4).data(), written);
  ++position_.next_used;
  if (unsignalled_ <= std::numeric_limits<uint16_t>::max()) ++unsignalled_;
}

void Queue::publish() {
  // Release: whoever sees the index sees the entries and the buffers.
  field(device_, kIndex).store(position_.next_used, std::memory_order_release);
}

Result<bool> Queue::wants_interrupt() {
  const uint32_t completed = std::exchange(unsignalled_, 0);
  if (completed == 0) return false;
  // 2.7.7.2: our index must be visible before we read whether to interrupt, or driver and device may both wait.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!event_index_) return (field(driver_, kFlags).load(std::memory_order_relaxed) & kNoInterrupt) == 0;
  // So many that the index has gone round: any event index was passed.
  if (completed > std::numeric_limits<uint16_t>::max()) return true;
  const size_t used_event = kEntries + size_t{layout_.size} * kAvailableEntry;
  const uint16_t event = field(driver_, used_event).load(std::memory_order_relaxed);
  return static_cast<uint16_t>(position_.next_used - event - 1) < completed;
}

Result<bool> Queue::enable_kicks() {
  const size_t available_event = kEntries + size_t{layout_.size} * kUsedEntry;
  if (event_index_)
    field(device_, available_event).store(position_.next_available, std::memory_order_relaxed);
  else
    field(device_, kFlags).store(0, std::memory_order_relaxed);
  // 2.7.10.1: the wish must be visible before we look again, or driver and device may both wait.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return has_available();
}

void Queue::disable_kicks() {
  if (!event_index_) return field(device_, kFlags).store(kNoNotify, std::memory_order_relaxed);
  // An index the driver has passed. A fresh ring has index 0 there, which it is about to pass.
  const size_t available_event = kEntries + size_t{layout_.size} * kUsedEntry;
  field(device_, available_event).store(static_cast<uint16_t>(position_.next_available - 1), std::memory_order_relaxed);
}

}  // namespace msb::virtio
