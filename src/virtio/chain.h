// Chain: one request of the guest, a list of buffers in its memory: first those the device reads, then those it writes
// (virtio 1.2, 2.7.4.2).
//
// The life of a chain: Queue::pop() hands it out, the device reads and fills it, and Queue::complete() gives it back
// exactly once. Move-only, so that it cannot be given back twice; dropping one without completing it loses that
// descriptor for the guest, which is right only when the queue is being reset.
//
//   while (true) {
//     MSB_TRY(auto chain, queue.pop());          // an error: the driver broke the rules, the device is broken
//     if (!chain) break;
//     uint32_t written = chain->write(0, entropy);
//     MSB_CHECK(queue.complete(std::move(*chain), written));
//   }
//
// The buffers were bounds-checked when the chain was popped and stay valid as long as guest memory is mapped; their
// contents can change at any time.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"

namespace msb::virtio {

class Chain {
 public:
  Chain(Chain&&) noexcept = default;
  Chain& operator=(Chain&&) noexcept = default;

  // In the order of the chain. Descriptors of length 0 are left out. Valid until the chain is moved.
  std::span<const MutableByteView> readable() const { return views().first(readable_count_); }
  std::span<const MutableByteView> writable() const { return views().subspan(readable_count_); }
  uint64_t readable_bytes() const { return readable_bytes_; }
  uint64_t writable_bytes() const { return writable_bytes_; }

  // Copies from the readable bytes beginning at `offset`, as if they were one buffer; returns how many there were
  // (less than asked at the end).
  size_t read(uint64_t offset, MutableByteView out) const;
  // Copies into the writable bytes beginning at `offset`; returns how many found room.
  uint32_t write(uint64_t offset, ByteView bytes) const;
  // The part of the readable or writable bytes [offset, offset + length) as views, for preadv and the like; shorter
  // at the end. Views into guest memory: they outlive the chain object.
  std::vector<MutableByteView> readable_range(uint64_t offset, uint64_t length) const;
  std::vector<MutableByteView> writable_range(uint64_t offset, uint64_t length) const;

  // The index of the first descriptor: what names this request in logs. Unique among those not yet completed.
  uint16_t head() const { return head_; }

 private:
  friend class Queue;
  explicit Chain(uint16_t head) : head_(head) {}
  std::span<const MutableByteView> views() const {
    return many_.empty() ? std::span<const MutableByteView>(few_.data(), count_) : many_;
  }
  void append(MutableByteView view);

  // Nearly every request has this few buffers (a block request: header, a few runs of pages, status), and needs no
  // allocation then. Longer ones are wholly in many_.
  static constexpr size_t kFew = 8;

  uint16_t head_;
  uint32_t count_ = 0;
  uint32_t readable_count_ = 0;  // the first so many are readable, the rest writable
  uint64_t readable_bytes_ = 0;
  uint64_t writable_bytes_ = 0;
  std::array<MutableByteView, kFew> few_;
  std::vector<MutableByteView> many_;
};

}  // namespace msb::virtio
