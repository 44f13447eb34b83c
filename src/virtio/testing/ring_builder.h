// The guest's side of a virtqueue, for tests: memory, a ring in it, and a driver that keeps the rules, or breaks them.
//
//   GuestRam ram;
//   RingBuilder ring(ram, 16);
//   Buffer in = ring.in(64);
//   ring.add({ring.out("hello"), in});            // or add_indirect
//   auto queue = Queue::activate(ram.memory(), ring.layout(), 16, ring.features()).value();
//   ... the device works ...
//   RingBuilder::Used used = ring.take_used().value();
//   ram.text(in.address, used.length);
//
// Everything lies in heap blocks of exactly the size of the guest's memory: AddressSanitizer sees whoever leaves them.
// Misuse by a test ends the program. One thread may play the driver while another plays the device.
#pragma once

#include <cstdlib>
#include <deque>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "virtio/guest_memory.h"
#include "virtio/queue.h"

namespace msb::virtio::testing {

// The guest's memory: one or more regions, each a heap block of its own, filled with zeros. Never moves.
class GuestRam {
 public:
  struct Block {
    uint64_t base = 0;  // guest physical
    uint64_t size = 0;
  };
  static constexpr uint64_t kBase = 0x10000;

  explicit GuestRam(uint64_t size = uint64_t{1} << 20) : GuestRam(std::vector<Block>{{kBase, size}}) {}
  explicit GuestRam(std::vector<Block> blocks);
  // One block of memory that somebody else owns, filled with zeros.
  GuestRam(Block block, uint8_t* memory);
  GuestRam(const GuestRam&) = delete;
  GuestRam& operator=(const GuestRam&) = delete;

  const GuestMemory& memory() const { return memory_; }

  // A piece not handed out before, from the first block with room. There is no free().
  GuestAddress allocate(uint64_t size, uint64_t alignment = 16);
  GuestAddress place(ByteView bytes);
  void put(GuestAddress address, ByteView bytes);
  Bytes get(GuestAddress address, uint64_t size) const;
  std::string text(GuestAddress address, uint64_t size) const;

 private:
  struct Free {
    void operator()(uint8_t* block) const { ::free(block); }
  };
  std::vector<std::unique_ptr<uint8_t, Free>> heap_;
  std::vector<Block> rest_;  // what is still free of each block
  GuestMemory memory_;
};

// A buffer as a driver describes it. Address and length can be anything.
enum class Direction { device_reads, device_writes };
struct Buffer {
  GuestAddress address{};
  uint32_t length = 0;
  Direction direction = Direction::device_reads;
};

class RingBuilder {
 public:
  static constexpr uint16_t kNext = 1;
  static constexpr uint16_t kWrite = 2;
  static constexpr uint16_t kIndirect = 4;
  struct Descriptor {
    uint64_t address = 0;
    uint32_t length = 0;
    uint16_t flags = 0;
    uint16_t next = 0;
  };
  static_assert(sizeof(Descriptor) == 16);
  struct Used {
    uint32_t head = 0;
    uint32_t length = 0;
  };

  static constexpr uint64_t kAllFeatures = kFeatureVersion1 | kFeatureIndirect | kFeatureEventIndex;

  // Rings in memory allocated from `ram`, which must outlive this. `features` decides how kicks and interrupts are
  // asked for.
  RingBuilder(GuestRam& ram, uint16_t size, uint64_t features = kAllFeatures);

  // Both indices begin here, as if so many requests had gone through. Before anything else.
  void start_at(uint16_t index);
  // What the transport is told.
  const QueueLayout& layout() const { return layout_; }
  uint64_t features() const { return features_; }
  uint16_t size() const { return layout_.size; }
  GuestRam& ram() { return ram_; }

  // --- a driver that keeps the rules ---
  // Buffers in fresh memory: bytes for the device to read, or room for it to fill.
  Buffer out(ByteView bytes);
  Buffer out(std::string_view text) { return out(as_bytes(text)); }
  Buffer in(uint32_t size);
  // Publishes a chain; returns its head. The ring must have that many descriptors free (one, when indirect).
  uint16_t add(const std::vector<Buffer>& buffers);
  uint16_t add_indirect(const std::vector<Buffer>& buffers);
  // How many descriptors are free.
  size_t room() const { return free_.size(); }
  // The next chain the device gave back, whose descriptors are free again. Ends the program when it is none of those
  // in flight.
  std::optional<Used> take_used();
  bool has_used() const;
  size_t in_flight() const { return flying_.size(); }
  // Whether the driver has to kick for what was published since the last call.
  bool needs_kick();
  // Whether the device is to interrupt: with event indices for the next used entry, or once the used index passes
  // that one; without, the flag.
  void want_interrupts();
  void want_interrupt_after(uint16_t used_index);
  void refuse_interrupts();

  // --- a driver that does not: any bytes anywhere ---
  void set_descriptor(uint16_t index, Descriptor descriptor);
  GuestAddress table(const std::vector<Descriptor>& descriptors);  // an indirect table in fresh memory
  void publish(uint16_t head);                                     // an entry, and the index one further
  void set_available_entry(uint16_t slot, uint16_t head);
  void set_available_index(uint16_t index);
  void set_available_flags(uint16_t flags);
  void set_used_event(uint16_t index);
  uint16_t available_index() const { return available_; }
  uint16_t used_index() const;
  uint16_t used_flags() const;
  uint16_t available_event() const;
  // The layout to tell the transport, for changes.
  QueueLayout& hostile_layout() { return layout_; }

 private:
  void store16(GuestAddress area, uint64_t offset, uint16_t value);
  uint16_t load16(GuestAddress area, uint64_t offset) const;
  uint16_t take_descriptor();

  GuestRam& ram_;
  uint64_t features_;
  QueueLayout layout_;
  std::deque<uint16_t> free_;                         // first in, first out: old descriptors are not met again soon
  std::map<uint16_t, std::vector<uint16_t>> flying_;  // descriptors of each chain, by head
  uint16_t available_ = 0;                            // our index
  uint16_t kicked_ = 0;                               // our index at the last needs_kick()
  uint16_t used_ = 0;                                 // up to here taken
};

}  // namespace msb::virtio::testing
