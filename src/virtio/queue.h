// Queue: the device's end of a split virtqueue (virtio 1.2, 2.7), with indirect descriptors and event indices.
//
// Type-state: while the guest negotiates there is only a QueueLayout, a plain struct of what it has programmed.
// Queue::activate() judges that layout and makes a Queue, which keeps its own copy: whatever the guest writes into
// registers afterwards changes nothing here.
//
// Everything in the rings is hostile. A rule broken (a descriptor outside RAM, a loop, a chain longer than the queue,
// a writable buffer before a readable one, an index that runs ahead by more than the queue's size) is an Error of kind
// protocol: the device then calls DeviceContext::broken() and stops; it never aborts the process.
//
// Bounds: a chain has at most kMaxDescriptors descriptors and the sum of its lengths fits in 32 bits (2.7.5.2).
// A Queue belongs to one thread.
#pragma once

#include <cstdint>
#include <optional>

#include "virtio/chain.h"
#include "virtio/guest_memory.h"

namespace msb::virtio {

// Feature bits that concern queues and the transport (virtio 1.2, 6).
inline constexpr uint64_t kFeatureIndirect = uint64_t{1} << 28;
inline constexpr uint64_t kFeatureEventIndex = uint64_t{1} << 29;
inline constexpr uint64_t kFeatureVersion1 = uint64_t{1} << 32;

inline constexpr uint16_t kMaxQueueSize = 1024;
inline constexpr uint32_t kMaxDescriptors = 1024;  // of one chain, indirect ones included

// What the guest programs through the transport. Plain, to be saved and restored.
struct QueueLayout {
  uint16_t size = 0;  // entries; a power of two
  bool ready = false;
  GuestAddress descriptors{};  // descriptor area, 16 bytes an entry, 16-aligned
  GuestAddress driver{};       // available ring, 2-aligned
  GuestAddress device{};       // used ring, 4-aligned
};

// Where the device is in its rings. Plain, to be saved and restored.
struct QueuePosition {
  uint16_t next_available = 0;
  uint16_t next_used = 0;
};

class Queue {
 public:
  // Failures: protocol (size 0, not a power of two or above `max_size`; misaligned; rings not wholly in RAM).
  // `memory` must outlive the queue.
  static Result<Queue> activate(const GuestMemory& memory, const QueueLayout& layout, uint16_t max_size,
                                uint64_t features, QueuePosition position = {});

  // The next request, or nullopt when there is none.
  Result<std::optional<Chain>> pop();
  // Whether pop() would find one.
  Result<bool> has_available() const;
  // Gives a chain back, in any order. `written` is how many bytes of its writable buffers were filled, from the first
  // on.
  Result<> complete(Chain chain, uint32_t written);
  // The same in two steps, for chains that the driver must find all at once: it sees none of them before publish().
  void stage(Chain chain, uint32_t written);
  void publish();
  // Whether the driver wants an interrupt for what has been completed since the last call (event index or
  // NO_INTERRUPT flag). To be asked once after a batch.
  Result<bool> wants_interrupt();

  // Tells the driver (a hint) whether it need kick. After enable_kicks() returned true there is already more to pop:
  // the race between the last pop and the request is closed.
  Result<bool> enable_kicks();
  void disable_kicks();

  uint16_t size() const { return layout_.size; }
  QueuePosition position() const { return position_; }

 private:
  Queue(const GuestMemory& memory, const QueueLayout& layout, bool indirect, bool event_index, QueuePosition position)
      : memory_(&memory), layout_(layout), position_(position), indirect_(indirect), event_index_(event_index) {}
  uint16_t slot(uint16_t index) const { return index & (layout_.size - 1); }
  // How many requests the driver has published and we have not popped.
  Result<uint16_t> available() const;
  Result<> walk(Chain& chain) const;

  const GuestMemory* memory_;
  QueueLayout layout_;
  QueuePosition position_;
  // The rings, sliced once: the layout cannot change and guest memory stays mapped.
  MutableByteView descriptors_;
  MutableByteView driver_;
  MutableByteView device_;
  uint32_t unsignalled_ = 0;  // completed since the last wants_interrupt()
  bool indirect_;
  bool event_index_;
};

}  // namespace msb::virtio
