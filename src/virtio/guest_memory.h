// GuestMemory: the guest's RAM as the devices see it, and the single place where a guest physical address becomes a
// host pointer.
//
// The guest runs while we read: what lies here can change between two reads. So bytes are copied out once and judged
// in the copy; fields that both sides use at the same time (ring indices) go through load() and store().
//
// A value: a few descriptions of mappings that somebody else owns and keeps mapped. Safe to use from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace msb::virtio {

// A guest physical address. Guest-controlled wherever it comes from a ring or a register.
enum class GuestAddress : uint64_t {};

constexpr uint64_t to_number(GuestAddress address) {
  return static_cast<uint64_t>(address);
}

class GuestMemory {
 public:
  struct Region {
    uint64_t base = 0;  // guest physical
    uint8_t* host = nullptr;
    uint64_t size = 0;
  };

  GuestMemory() = default;
  // Regions must be sorted, not overlap, not be empty, not wrap round the address space, and begin at a multiple of 16
  // both in the guest and on the host (so that a field aligned there is aligned here): invalid_config otherwise.
  static Result<GuestMemory> create(std::vector<Region> regions);

  // The bytes [address, address + length), or nullopt when any of them is not RAM or the range crosses from one
  // region to another. Overflow-checked. A length of 0 gives an empty view anywhere in RAM.
  std::optional<MutableByteView> slice(GuestAddress address, uint64_t length) const;

  // Copies. False when the range is not RAM; nothing has been copied then.
  bool read(GuestAddress address, MutableByteView out) const;
  bool write(GuestAddress address, ByteView bytes) const;

  // One aligned little-endian field, read or written in a single access with acquire or release order.
  // nullopt or false: not RAM, or not aligned.
  template <class T>
  std::optional<T> load(GuestAddress address) const {
    auto at = slice(address, sizeof(T));
    if (!at || to_number(address) % sizeof(T) != 0) return std::nullopt;
    return std::atomic_ref<T>(*reinterpret_cast<T*>(at->data())).load(std::memory_order_acquire);
  }
  template <class T>
  bool store(GuestAddress address, T value) const {
    auto at = slice(address, sizeof(T));
    if (!at || to_number(address) % sizeof(T) != 0) return false;
    std::atomic_ref<T>(*reinterpret_cast<T*>(at->data())).store(value, std::memory_order_release);
    return true;
  }

  const std::vector<Region>& regions() const { return regions_; }

 private:
  explicit GuestMemory(std::vector<Region> regions) : regions_(std::move(regions)) {}
  std::vector<Region> regions_;
};

}  // namespace msb::virtio
