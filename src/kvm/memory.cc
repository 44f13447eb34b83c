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

Result<Fd> make_memory_file(uint64_t size) {
  Fd file(::memfd_create("guest-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return fail_errno("create the guest's memory file");
  if (::ftruncate(file.get(), static_cast<off_t>(size)) < 0)
    return fail_errno(cat("make the guest's memory file ", size / kMiB, " MiB large"));
  // Whoever else may get to map it cannot take pages from under us.
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
    return fail_errno("seal the guest's memory file");
  return file;
}

}  // namespace

Result<std::unique_ptr<GuestRam>> GuestRam::create(uint64_t size, Backing backing) {
  MSB_CHECK(check_size(size));
  Fd file;
  if (backing == Backing::memory_file) {
    MSB_TRY(file, make_memory_file(size));
  }
  MSB_TRY(Mmap addresses, Mmap::reserve(size + kHugePage));
  auto misaligned = reinterpret_cast<uintptr_t>(addresses.data()) % kHugePage;
  uint8_t* start = addresses.data() + (misaligned ? kHugePage - misaligned : 0);
  int flags = MAP_FIXED | MAP_NORESERVE | (file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS);
  if (::mmap(start, size, PROT_READ | PROT_WRITE, flags, file.get(), 0) == MAP_FAILED)
    return fail_errno(cat("map ", size / kMiB, " MiB of guest memory"));
  // Both are wishes, which a kernel may not know.
  (void)::madvise(start, size, MADV_HUGEPAGE);
  (void)::madvise(start, size, MADV_DONTDUMP);

  uint64_t low = std::min(size, kGapStart);
  std::vector<virtio::GuestMemory::Region> regions = {{0, start, low}};
  if (low < size) regions.push_back({kGapEnd, start + low, size - low});
  MSB_TRY(auto memory, virtio::GuestMemory::create(std::move(regions)));
  return std::unique_ptr<GuestRam>(new GuestRam(std::move(file), std::move(addresses), size, std::move(memory)));
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
  mapped_files_.push_back(*target);
  return {};
}

void GuestRam::release_range(uint8_t* begin, uint8_t* end) const {
  // Dropping pages of a memory file from our mapping would leave them in the file.
  if (begin < end) (void)::madvise(begin, static_cast<size_t>(end - begin), file_ ? MADV_REMOVE : MADV_DONTNEED);
}

void GuestRam::release(virtio::GuestAddress address, uint64_t length) {
  auto pages = memory_.slice(address, length);
  if (!pages || pages->empty()) return;
  // Nothing depends on it: pages that stay are only memory that could have been free.
  for (const auto& file : mapped_files_) {
    uint8_t* begin = std::max(file.data(), pages->data());
    uint8_t* end = std::min(file.data() + file.size(), pages->data() + pages->size());
    if (begin >= end) continue;
    (void)::madvise(begin, static_cast<size_t>(end - begin), MADV_DONTNEED);
    release_range(pages->data(), begin);
    *pages = pages->subspan(static_cast<size_t>(end - pages->data()));
  }
  release_range(pages->data(), pages->data() + pages->size());
}

}  // namespace msb::kvm
