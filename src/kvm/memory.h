// GuestRam: the memory of one guest, mapped once and given to KVM as one slot, or as two when it is larger than the gap
// below 4 GiB allows.
//
// It is private anonymous memory, in huge pages where the host gives them. A memory file, which other processes could
// be shown, gets none on most hosts (shmem_enabled is "never"): a guest of 512 MiB then boots with 10172 page faults
// instead of 5877, and in 174 ms instead of 152 (docs/performance.md). Nobody but this process looks at it.
//
// Parts of it can show the contents of a file instead (map_file()): what the guest only reads there is the host's page
// cache, shared by all guests that map the same file, and costs no copy; what it writes becomes a page of its own.
//
// Pages appear when the guest touches them and go back to the host by release(): nothing is reserved. The mapping is
// left out of core dumps. Owned by the Machine; outlives the Vm's last run and every GuestMemory value made of it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "base/mmap.h"
#include "kvm/kvm_api.h"
#include "virtio/page_releaser.h"

namespace msb::kvm {

// A guest's memory lies from 0 to the gap, the rest from 4 GiB on. Devices have their windows in the gap.
inline constexpr uint64_t kGapStart = 0xC0000000;
inline constexpr uint64_t kGapEnd = uint64_t{1} << 32;
inline constexpr uint64_t kPage = 4096;

class GuestRam final : public virtio::PageReleaser {
 public:
  // Failures: invalid_config (nothing, not whole pages, or more than this host has), io.
  static Result<std::unique_ptr<GuestRam>> create(uint64_t size);

  Result<> attach(const Vm& vm) const;
  // Makes memory from `address` on show `length` bytes of a file, all multiples of the page size and within the file.
  // Before the guest runs. Failures: invalid_config (not so, or not RAM), io.
  Result<> map_file(virtio::GuestAddress address, int file, uint64_t offset, uint64_t length);

  // Gives pages back to the host; the guest finds zeros there, or the file's contents. Any thread.
  void release(virtio::GuestAddress address, uint64_t length) override;

  const virtio::GuestMemory& memory() const { return memory_; }
  uint64_t size() const { return size_; }
  uint64_t low_size() const { return std::min(size(), kGapStart); }
  uint64_t high_size() const { return size() - low_size(); }
  // The first address beyond all memory.
  uint64_t end() const { return high_size() ? kGapEnd + high_size() : low_size(); }

 private:
  GuestRam(Mmap addresses, uint64_t size, virtio::GuestMemory memory)
      : addresses_(std::move(addresses)), size_(size), memory_(std::move(memory)) {}
  Mmap addresses_;  // all that is mapped lies in here
  uint64_t size_;
  virtio::GuestMemory memory_;
};

}  // namespace msb::kvm
