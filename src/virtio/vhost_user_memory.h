// VhostUserMemory: the guest's memory as a vhost-user front end shares it: mapped files, and the two kinds of address
// that messages use for it.
//
// The files are the front end's. One that could shrink under us would kill this process at the next access, so only
// memory files sealed against that are taken (QEMU's memory-backend-memfd seals its own).
#pragma once

#include <optional>
#include <vector>

#include "base/mmap.h"
#include "virtio/guest_memory.h"
#include "virtio/vhost_user_message.h"

namespace msb::virtio {

class VhostUserMemory {
 public:
  VhostUserMemory() = default;
  // Failures: protocol (the table contradicts itself or its files), io (it cannot be mapped).
  static Result<VhostUserMemory> map(const std::vector<vhost_user::MemoryRegion>& regions, std::vector<Fd> files);

  const GuestMemory& memory() const { return memory_; }
  // Where the front end's own address lies in the guest; nullopt when outside of the table.
  std::optional<GuestAddress> guest_address(uint64_t user) const;

 private:
  std::vector<vhost_user::MemoryRegion> regions_;
  std::vector<Mmap> mappings_;
  GuestMemory memory_;
};

}  // namespace msb::virtio
