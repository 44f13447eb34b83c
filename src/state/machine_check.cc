#include "state/machine_check.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/cat.h"
#include "base/elf.h"

namespace msb::state {
namespace {

Result<uint64_t> file_size(const std::string& path, std::string_view what) {
  struct stat found{};
  if (::stat(path.c_str(), &found) < 0)
    return fail(Error::from_errno(errno, cat("the ", what, " ", path)).as(ErrorKind::invalid_config));
  if (!S_ISREG(found.st_mode))
    return fail(ErrorKind::invalid_config, cat("the ", what, " ", path, " is not a regular file"));
  return static_cast<uint64_t>(found.st_size);
}

Result<> check_disk(const DiskSpec& disk, const std::vector<uint64_t>& sizes, size_t index) {
  bool concat = disk.format == DiskSpec::Format::concat;
  if (disk.files.empty() || (!concat && disk.files.size() != 1) || disk.files.size() > kMaxExtents)
    return fail(ErrorKind::invalid_config, cat("disk ", index, " is made of ", disk.files.size(), " files"));
  if (concat && !disk.read_only)
    return fail(ErrorKind::invalid_config, cat("disk ", index, " is made of several files and must be read-only"));
  if (concat && std::any_of(sizes.begin(), sizes.end(), [](uint64_t size) { return size == 0 || size % 512 != 0; }))
    return fail(ErrorKind::corrupt, cat("disk ", index, ": a file of it is not a whole number of sectors"));
  return {};
}

}  // namespace

Result<> check_host_memory(uint32_t memory_mib) {
  uint64_t host =
      static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)) >> 20;
  if (memory_mib < host) return {};
  return fail(
      Error(ErrorKind::invalid_config, cat("memory: ", memory_mib, " MiB is more than this host has (", host, " MiB)"))
          .hint("Ask for less with --memory."));
}

Result<> check_shape(const MachineSpec& spec, const DiskSizes& sizes) {
  if (spec.vcpus == 0 || spec.vcpus > kMaxVcpus)
    return fail(ErrorKind::invalid_config,
                cat("a sandbox has 1 to ", kMaxVcpus, " virtual processors, not ", spec.vcpus));
  if (spec.memory_mib < kMinMemoryMib)
    return fail(Error(ErrorKind::invalid_config, cat("memory: ", spec.memory_mib, " MiB is too small to boot a guest"))
                    .hint(cat("Give it at least ", kMinMemoryMib, " MiB.")));
  if (sizes.size() != spec.disks.size()) return fail(ErrorKind::internal, "a disk without sizes");
  for (size_t i = 0; i < spec.disks.size(); ++i) MSB_CHECK(check_disk(spec.disks[i], sizes.at(i), i));
  return {};
}

Result<DiskSizes> check_machine(const MachineSpec& spec) {
  MSB_CHECK(check_host_memory(spec.memory_mib));
  MSB_CHECK(file_size(spec.kernel, "guest kernel"));
  MSB_CHECK(check_pvh_kernel(spec.kernel));
  MSB_CHECK(file_size(spec.initramfs, "initramfs"));
  DiskSizes sizes;
  for (const auto& disk : spec.disks) {
    auto& of_disk = sizes.emplace_back();
    for (const auto& file : disk.files) {
      MSB_TRY(uint64_t size, file_size(file, "disk"));
      of_disk.push_back(size);
    }
  }
  MSB_CHECK(check_shape(spec, sizes));
  return sizes;
}

}  // namespace msb::state
