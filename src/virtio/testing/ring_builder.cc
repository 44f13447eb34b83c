#include "virtio/testing/ring_builder.h"

#include <cstdio>
#include <cstdlib>

namespace msb::virtio::testing {
namespace {

// Also without assert(): fuzzers and release tests rely on it.
void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "ring_builder: %s\n", what);
  std::abort();
}

}  // namespace

GuestRam::GuestRam(std::vector<Block> blocks) : rest_(std::move(blocks)) {
  std::vector<GuestMemory::Region> regions;
  for (const Block& block : rest_) {
    heap_.emplace_back(static_cast<uint8_t*>(std::calloc(1, block.size)));
    require(heap_.back() != nullptr, "no memory");
    regions.push_back({block.base, heap_.back().get(), block.size});
  }
  auto memory = GuestMemory::create(std::move(regions));
  require(memory.has_value(), "these blocks are no guest memory");
  memory_ = std::move(*memory);
}

GuestRam::GuestRam(Block block, uint8_t* memory) : rest_{block} {
  auto whole = GuestMemory::create({{block.base, memory, block.size}});
  require(whole.has_value(), "this block is no guest memory");
  memory_ = std::move(*whole);
}

GuestAddress GuestRam::allocate(uint64_t size, uint64_t alignment) {
  for (Block& rest : rest_) {
    const uint64_t padding = (alignment - rest.base % alignment) % alignment;
    if (padding > rest.size || size > rest.size - padding) continue;
    const GuestAddress address{rest.base + padding};
    rest = {rest.base + padding + size, rest.size - padding - size};
    return address;
  }
  require(false, "the guest's memory is used up");
  return {};
}

GuestAddress GuestRam::place(ByteView bytes) {
  const GuestAddress address = allocate(bytes.size());
  put(address, bytes);
  return address;
}

void GuestRam::put(GuestAddress address, ByteView bytes) {
  require(memory_.write(address, bytes), "put() outside the guest's memory");
}

Bytes GuestRam::get(GuestAddress address, uint64_t size) const {
  Bytes bytes(size);
  require(memory_.read(address, bytes), "get() outside the guest's memory");
  return bytes;
}

std::string GuestRam::text(GuestAddress address, uint64_t size) const {
  return std::string(as_text(get(address, size)));
}

RingBuilder::RingBuilder(GuestRam& ram, uint16_t size, uint64_t features) : ram_(ram), features_(features) {
  layout_ = {.size = size,
             .ready = true,
             .descriptors = ram.allocate(uint64_t{size} * 16, 16),
             .driver = ram.allocate(6 + uint64_t{size} * 2, 2),
             .device = ram.allocate(6 + uint64_t{size} * 8, 4)};
  for (uint16_t i = 0; i < size; ++i) free_.push_back(i);
}

void RingBuilder::start_at(uint16_t index) {
  available_ = kicked_ = used_ = index;
  store16(layout_.driver, 2, index);
  store16(layout_.device, 2, index);
}

void RingBuilder::store16(GuestAddress area, uint64_t offset, uint16_t value) {
  require(ram_.memory().store<uint16_t>(GuestAddress{to_number(area) + offset}, value), "a ring outside memory");
}

uint16_t RingBuilder::load16(GuestAddress area, uint64_t offset) const {
  auto value = ram_.memory().load<uint16_t>(GuestAddress{to_number(area) + offset});
  require(value.has_value(), "a ring outside memory");
  return *value;
}

Buffer RingBuilder::out(ByteView bytes) {
  return {ram_.place(bytes), static_cast<uint32_t>(bytes.size()), Direction::device_reads};
}

Buffer RingBuilder::in(uint32_t size) {
  return {ram_.allocate(size), size, Direction::device_writes};
}

uint16_t RingBuilder::take_descriptor() {
  require(!free_.empty(), "the ring is full");
  const uint16_t index = free_.front();
  free_.pop_front();
  return index;
}

uint16_t RingBuilder::add(const std::vector<Buffer>& buffers) {
  require(!buffers.empty(), "a chain needs a buffer");
  std::vector<uint16_t> indices;
  for (size_t i = 0; i < buffers.size(); ++i) indices.push_back(take_descriptor());
  for (size_t i = 0; i < buffers.size(); ++i) {
    const bool last = i + 1 == buffers.size();
    const bool writes = buffers[i].direction == Direction::device_writes;
    set_descriptor(indices[i], {.address = to_number(buffers[i].address),
                                .length = buffers[i].length,
                                .flags = static_cast<uint16_t>((writes ? kWrite : 0) | (last ? 0 : kNext)),
                                .next = last ? uint16_t{0} : indices[i + 1]});
  }
  const uint16_t head = indices[0];
  flying_[head] = std::move(indices);
  publish(head);
  return head;
}

uint16_t RingBuilder::add_indirect(const std::vector<Buffer>& buffers) {
  require(!buffers.empty(), "a chain needs a buffer");
  std::vector<Descriptor> entries;
  for (size_t i = 0; i < buffers.size(); ++i) {
    const bool last = i + 1 == buffers.size();
    const bool writes = buffers[i].direction == Direction::device_writes;
    entries.push_back({.address = to_number(buffers[i].address),
                       .length = buffers[i].length,
                       .flags = static_cast<uint16_t>((writes ? kWrite : 0) | (last ? 0 : kNext)),
                       .next = static_cast<uint16_t>(last ? 0 : i + 1)});
  }
  const uint16_t head = take_descriptor();
  set_descriptor(head, {.address = to_number(table(entries)),
                        .length = static_cast<uint32_t>(entries.size() * sizeof(Descriptor)),
                        .flags = kIndirect});
  flying_[head] = {head};
  publish(head);
  return head;
}

std::optional<RingBuilder::Used> RingBuilder::take_used() {
  if (!has_used()) return std::nullopt;
  const uint64_t slot = used_ % layout_.size;
  const Bytes entry = ram_.get(GuestAddress{to_number(layout_.device) + 4 + slot * 8}, 8);
  ++used_;
  const Used used{load_le<uint32_t>(entry.data()), load_le<uint32_t>(entry.data() + 4)};
  auto chain = used.head < layout_.size ? flying_.find(static_cast<uint16_t>(used.head)) : flying_.end();
  require(chain != flying_.end(), "the device gave back a chain that is not in flight");
  free_.insert(free_.end(), chain->second.begin(), chain->second.end());
  flying_.erase(chain);
  return used;
}

bool RingBuilder::has_used() const {
  return used_index() != used_;
}

bool RingBuilder::needs_kick() {
  const uint16_t before = std::exchange(kicked_, available_);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if ((features_ & kFeatureEventIndex) == 0) return (used_flags() & 1) == 0;
  return static_cast<uint16_t>(available_ - available_event() - 1) < static_cast<uint16_t>(available_ - before);
}

void RingBuilder::want_interrupts() {
  if (features_ & kFeatureEventIndex)
    set_used_event(used_);
  else
    set_available_flags(0);
}

void RingBuilder::want_interrupt_after(uint16_t used_index) {
  set_used_event(used_index);
}

void RingBuilder::refuse_interrupts() {
  if (features_ & kFeatureEventIndex)
    set_used_event(static_cast<uint16_t>(used_ - 1));
  else
    set_available_flags(1);
}

void RingBuilder::set_descriptor(uint16_t index, Descriptor descriptor) {
  Bytes bytes(sizeof(descriptor));
  std::memcpy(bytes.data(), &descriptor, sizeof(descriptor));
  ram_.put(GuestAddress{to_number(layout_.descriptors) + uint64_t{index} * sizeof(descriptor)}, bytes);
}

GuestAddress RingBuilder::table(const std::vector<Descriptor>& descriptors) {
  Bytes bytes(descriptors.size() * sizeof(Descriptor));
  if (!bytes.empty()) std::memcpy(bytes.data(), descriptors.data(), bytes.size());
  return ram_.place(bytes);
}

void RingBuilder::publish(uint16_t head) {
  set_available_entry(available_ % layout_.size, head);
  set_available_index(static_cast<uint16_t>(available_ + 1));
}

void RingBuilder::set_available_entry(uint16_t slot, uint16_t head) {
  store16(layout_.driver, 4 + uint64_t{slot} * 2, head);
}

void RingBuilder::set_available_index(uint16_t index) {
  available_ = index;
  store16(layout_.driver, 2, index);
}

void RingBuilder::set_available_flags(uint16_t flags) {
  store16(layout_.driver, 0, flags);
}

void RingBuilder::set_used_event(uint16_t index) {
  store16(layout_.driver, 4 + uint64_t{layout_.size} * 2, index);
}

uint16_t RingBuilder::used_index() const {
  return load16(layout_.device, 2);
}

uint16_t RingBuilder::used_flags() const {
  return load16(layout_.device, 0);
}

uint16_t RingBuilder::available_event() const {
  return load16(layout_.device, 4 + uint64_t{layout_.size} * 8);
}

}  // namespace msb::virtio::testing
