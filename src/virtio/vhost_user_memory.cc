#include "virtio/vhost_user_memory.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

namespace msb::virtio {
namespace {

constexpr uint64_t kPage = 4096;

Result<Mmap> map_region(const vhost_user::MemoryRegion& region, int file) {
  const uint64_t end = region.offset + region.size;
  if (region.size == 0 || end < region.offset || region.guest + region.size < region.guest ||
      region.user + region.size < region.user || (region.offset | region.guest | region.size) % kPage != 0)
    return fail(ErrorKind::protocol, "a region of the memory table is empty, not of whole pages or too large");
  const int seals = ::fcntl(file, F_GET_SEALS);
  if (seals < 0 || !(seals & F_SEAL_SHRINK))
    return fail(ErrorKind::protocol, "the guest's memory is not a memory file that is sealed against shrinking");
  struct stat status{};
  if (::fstat(file, &status) < 0) return fail_errno("look at the guest's memory");
  if (end > static_cast<uint64_t>(status.st_size))
    return fail(ErrorKind::protocol, "a region of the memory table is longer than its file");
  return Mmap::shared(file, region.size, region.offset);
}

}  // namespace

Result<VhostUserMemory> VhostUserMemory::map(const std::vector<vhost_user::MemoryRegion>& regions,
                                             std::vector<Fd> files) {
  if (files.size() != regions.size())
    return fail(ErrorKind::protocol, "the memory table and its descriptors differ in number");
  VhostUserMemory table;
  std::vector<GuestMemory::Region> parts;
  for (size_t i = 0; i < regions.size(); ++i) {
    MSB_TRY(Mmap mapping, map_region(regions[i], files[i].get()));
    parts.push_back({regions[i].guest, mapping.data(), regions[i].size});
    table.mappings_.push_back(std::move(mapping));
  }
  std::ranges::sort(parts, {}, &GuestMemory::Region::base);
  auto memory = GuestMemory::create(std::move(parts));
  if (!memory) return fail(std::move(memory).error().as(ErrorKind::protocol));
  table.memory_ = std::move(*memory);
  table.regions_ = regions;
  return table;
}

std::optional<GuestAddress> VhostUserMemory::guest_address(uint64_t user) const {
  for (const auto& region : regions_)
    if (user >= region.user && user - region.user < region.size)
      return GuestAddress{region.guest + (user - region.user)};
  return std::nullopt;
}

}  // namespace msb::virtio
