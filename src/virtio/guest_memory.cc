#include "virtio/guest_memory.h"

#include <cstring>
#include <limits>

namespace msb::virtio {

Result<GuestMemory> GuestMemory::create(std::vector<Region> regions) {
  constexpr uint64_t kAlign = 16;
  uint64_t free_from = 0;
  for (const Region& region : regions) {
    if (region.size == 0 || !region.host) return fail(ErrorKind::invalid_config, "guest memory: a region is empty");
    if (region.base % kAlign != 0 || reinterpret_cast<uintptr_t>(region.host) % kAlign != 0)
      return fail(ErrorKind::invalid_config, cat("guest memory: the region at ", region.base, " is not aligned"));
    if (region.base < free_from)
      return fail(ErrorKind::invalid_config, cat("guest memory: the region at ", region.base, " is out of order"));
    if (region.size > std::numeric_limits<uint64_t>::max() - region.base)
      return fail(ErrorKind::invalid_config, cat("guest memory: the region at ", region.base, " wraps round"));
    free_from = region.base + region.size;
  }
  return GuestMemory(std::move(regions));
}

std::optional<MutableByteView> GuestMemory::slice(GuestAddress address, uint64_t length) const {
  const uint64_t at = to_number(address);
  for (const Region& region : regions_) {
    if (at < region.base || at - region.base >= region.size) continue;
    const uint64_t offset = at - region.base;
    if (length > region.size - offset) return std::nullopt;
    return MutableByteView(region.host + offset, length);
  }
  return std::nullopt;
}

bool GuestMemory::read(GuestAddress address, MutableByteView out) const {
  auto from = slice(address, out.size());
  if (!from) return false;
  if (!out.empty()) std::memcpy(out.data(), from->data(), out.size());
  return true;
}

bool GuestMemory::write(GuestAddress address, ByteView bytes) const {
  auto to = slice(address, bytes.size());
  if (!to) return false;
  if (!bytes.empty()) std::memcpy(to->data(), bytes.data(), bytes.size());
  return true;
}

}  // namespace msb::virtio
