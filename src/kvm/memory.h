// GuestRam: the memory of one guest, mapped once and given to KVM as one slot, or as two when it is larger than the gap
// below 4 GiB allows.
//
// It is private memory in huge pages where the host gives them, or a sealed memory file that other processes can be
// shown (Backing). The difference counts: hosts give files no huge pages (shmem_enabled is "never"), and a guest of
// 512 MiB boots with some 6900 page faults of 4 KiB, or some 1800.
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
#include <vector>

#include "base/fd.h"
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
  enum class Backing { private_memory, memory_file };
  static Result<std::unique_ptr<GuestRam>> create(uint64_t size, Backing backing = Backing::private_memory);

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
  GuestRam(Fd file, Mmap addresses, uint64_t size, virtio::GuestMemory memory)
      : file_(std::move(file)), addresses_(std::move(addresses)), size_(size), memory_(std::move(memory)) {}
  void release_range(uint8_t* begin, uint8_t* end) const;
  Fd file_;         // none: private memory
  Mmap addresses_;  // all that is mapped lies in here
  uint64_t size_;
  virtio::GuestMemory memory_;
  std::vector<MutableByteView> mapped_files_;
};

}  // namespace msb::kvm
