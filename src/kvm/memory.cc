#include "kvm/memory.h"

#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/units.h"

namespace msb::kvm {
namespace {

// A guest that could never have all of its memory would be killed by the host in the middle of its work.
Result<> check_size(uint64_t size) {
  if (size == 0 || size % kPage != 0)
    return fail(ErrorKind::invalid_config, cat("a guest cannot have ", size, " bytes of memory"));
  struct sysinfo host{};
  if (::sysinfo(&host) < 0) return {};  // forbidden inside the fence; whoever raised it has asked
  uint64_t total = uint64_t{host.totalram} * host.mem_unit;
  if (size > total)
    return fail(Error(ErrorKind::invalid_config, cat("the guest is to have ", size / kMiB,
                                                     " MiB of memory, but this host has ", total / kMiB, " MiB"))
                    .hint("Give the sandbox less memory (--memory)."));
  return {};
}

// KVM can use a huge page only where guest and host addresses agree in their low 21 bits.
constexpr uint64_t kHugePage = uint64_t{2} << 20;

}  // namespace

Result<std::unique_ptr<GuestRam>> GuestRam::create(uint64_t size) {
  MSB_CHECK(check_size(size));
  MSB_TRY(Mmap addresses, Mmap::reserve(size + kHugePage));
  auto misaligned = reinterpret_cast<uintptr_t>(addresses.data()) % kHugePage;
  uint8_t* start = addresses.data() + (misaligned ? kHugePage - misaligned : 0);
  if (::mmap(start, size, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_NORESERVE | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
      MAP_FAILED)
    return fail_errno(cat("map ", size / kMiB, " MiB of guest memory"));
  // Both are wishes, which a kernel may not know.
  (void)::madvise(start, size, MADV_HUGEPAGE);
  (void)::madvise(start, size, MADV_DONTDUMP);

  uint64_t low = std::min(size, kGapStart);
  std::vector<virtio::GuestMemory::Region> regions = {{0, start, low}};
  if (low < size) regions.push_back({kGapEnd, start + low, size - low});
  MSB_TRY(auto memory, virtio::GuestMemory::create(std::move(regions)));
  return std::unique_ptr<GuestRam>(new GuestRam(std::move(addresses), size, std::move(memory)));
}

Result<> GuestRam::attach(const Vm& vm) const {
  uint32_t slot = 0;
  for (const auto& region : memory_.regions())
    MSB_CHECK(vm.set_memory(slot++, region.base, MutableByteView(region.host, region.size)));
  return {};
}

Result<> GuestRam::map_file(virtio::GuestAddress address, int file, uint64_t offset, uint64_t length) {
  auto target = memory_.slice(address, length);
  if (!target || length == 0 || (to_number(address) | offset | length) % kPage != 0)
    return fail(ErrorKind::invalid_config, "a file cannot be mapped there");
  // Over our own mapping, which unmaps this one too when it goes.
  void* mapped = ::mmap(target->data(), length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, file,
                        static_cast<off_t>(offset));
  if (mapped == MAP_FAILED) return fail_errno("map a file into the guest's memory");
  (void)::madvise(mapped, length, MADV_DONTDUMP);
  return {};
}

void GuestRam::release(virtio::GuestAddress address, uint64_t length) {
  auto pages = memory_.slice(address, length);
  // Nothing depends on it: pages that stay are only memory that could have been free.
  if (pages && !pages->empty()) (void)::madvise(pages->data(), pages->size(), MADV_DONTNEED);
}

}  // namespace msb::kvm
