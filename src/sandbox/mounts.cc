#include "sandbox/mounts.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <set>

#include "base/units.h"
#include "disk/ext4_size.h"
#include "disk/qcow2.h"
#include "disk/raw_disk.h"
#include "sandbox/volumes.h"

namespace msb {
namespace {

// Where the guest's own file systems are: a mount over one of these would break it.
constexpr std::string_view kReserved[] = {"/", "/dev", "/proc", "/sys", "/.msb", "/.msb/scripts"};

Result<> invalid(std::string message, std::string hint) {
  return fail(Error(ErrorKind::invalid_config, std::move(message)).hint(std::move(hint)));
}

// Absolute, without empty, "." and ".." components.
Result<> check_target(const std::string& target) {
  constexpr std::string_view kHint = "write an absolute path of the guest, like /data";
  if (target.find('\0') != target.npos) return invalid("a mount's path contains a NUL byte", std::string(kHint));
  if (!target.starts_with('/'))
    return invalid(cat("the mount's path '", target, "' does not begin with '/'"), std::string(kHint));
  if (std::ranges::find(kReserved, target) != std::end(kReserved))
    return invalid(cat("nothing can be mounted on ", target, ": the guest needs what is there"), "choose another path");
  for (std::string_view rest = std::string_view(target).substr(1);;) {
    std::string_view component = rest.substr(0, rest.find('/'));
    if (component.empty() || component == "." || component == "..")
      return invalid(cat("the mount's path '", target, "' has an empty, '.' or '..' component"), std::string(kHint));
    if (component.size() == rest.size()) return {};
    rest.remove_prefix(component.size() + 1);
  }
}

Result<> check_tmpfs(const Mount& mount, const SandboxConfig& config) {
  if (!mount.source.empty() || mount.format || !mount.fstype.empty())
    return invalid(cat("the tmpfs on ", mount.target, " has a disk"), "a tmpfs has a size only");
  if (mount.size_mib > config.memory_mib)
    return invalid(cat("the tmpfs on ", mount.target, " of ", mount.size_mib, " MiB does not fit the ",
                       config.memory_mib, " MiB that the sandbox has"),
                   "make it smaller, or give the sandbox more memory");
  return {};
}

Result<> check_disk(const Mount& mount) {
  if (mount.source.empty()) return invalid(cat("the disk on ", mount.target, " has no image"), "name a disk image");
  if (mount.source.find('\0') != mount.source.npos)
    return invalid("a disk image's path contains a NUL byte", "mend it");
  if (!mount.format)
    return invalid(cat("the format of the disk image ", mount.source, " is not given"), "it is raw or qcow2");
  return {};
}

Result<> check_bind(const Mount& mount) {
  if (mount.source.empty())
    return invalid(cat("the bind on ", mount.target, " has no source"), "name a directory or file of the host");
  if (mount.source.find('\0') != mount.source.npos) return invalid("the path of a bind contains a NUL byte", "mend it");
  return {};
}

Result<> check_named(const Mount& mount) {
  if (mount.volume.empty()) return invalid(cat("the volume on ", mount.target, " has no name"), "name it");
  return {};
}

Result<> check_one(const Mount& mount, const SandboxConfig& config) {
  MSB_CHECK(check_target(mount.target));
  switch (mount.kind) {
    case Mount::Kind::tmpfs:
      return check_tmpfs(mount, config);
    case Mount::Kind::disk:
      return check_disk(mount);
    case Mount::Kind::bind:
      return check_bind(mount);
    case Mount::Kind::named:
      return check_named(mount);
  }
  return {};
}

Result<> resolve_disk(Mount& mount) {
  char resolved[PATH_MAX];
  if (!::realpath(mount.source.c_str(), resolved))
    return fail(Error::from_errno(errno, cat("open the disk image ", mount.source)).as(ErrorKind::path_not_found));
  mount.source = resolved;
  return check_disk_image(mount.source, mount.format,
                          mount.read_only ? disk::Access::read_only : disk::Access::read_write);
}

// Nothing can be mounted below a file.
Result<> check_nesting(const std::vector<Mount>& mounts) {
  for (const auto& file : mounts) {
    if (file.kind != Mount::Kind::bind || file.source_type != Mount::SourceType::file) continue;
    for (const auto& mount : mounts)
      if (mount.target.starts_with(file.target + "/"))
        return invalid(
            cat("nothing can be mounted on ", mount.target, ": the file ", file.source, " is mounted on ", file.target),
            "choose another path");
  }
  return {};
}

void add_disk(const std::string& file, const Mount& mount, wire::MountSpec& spec, state::MachineSpec& machine) {
  spec.kind = "disk";
  spec.device = next_device(machine.disks);
  spec.fstype = mount.fstype;
  const bool qcow2 = mount.format == DiskFormat::qcow2;
  machine.disks.push_back({.format = qcow2 ? state::DiskSpec::Format::qcow2 : state::DiskSpec::Format::raw,
                           .files = {file},
                           .read_only = mount.read_only});
}

void add_share(state::ShareSpec share, wire::MountSpec& spec, state::MachineSpec& machine) {
  spec.kind = "share";
  spec.share = share.name;
  spec.file = share.only;
  machine.shares.push_back(std::move(share));
}

}  // namespace

Result<> check_mounts(const SandboxConfig& config) {
  std::set<std::string> targets, sources;
  for (const auto& mount : config.mounts) {
    MSB_CHECK(check_one(mount, config));
    if (!targets.insert(mount.target).second)
      return invalid(cat("two mounts are on ", mount.target), "give each a path of its own");
    if (mount.kind == Mount::Kind::disk && !sources.insert(mount.source).second)
      return invalid(cat("the disk image ", mount.source, " is mounted twice"), "mount it once");
  }
  return {};
}

Result<> check_disk_image(const std::string& path, std::optional<DiskFormat> format, disk::Access access) {
  struct stat status;
  if (::stat(path.c_str(), &status) < 0) return fail_errno(cat("open the disk image ", path));
  if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
    return fail(ErrorKind::invalid_config, cat(path, " is not a disk image"));
  const bool writes = access == disk::Access::read_write;
  if (::access(path.c_str(), writes ? R_OK | W_OK : R_OK) < 0) {
    Error error = Error::from_errno(errno, cat("open the disk image ", path));
    return fail(writes ? std::move(error).hint("the guest writes to it") : std::move(error));
  }
  if (format == DiskFormat::qcow2) return disk::inspect_qcow2(path, access).map([](const auto&) {});
  if (S_ISREG(status.st_mode) && (status.st_size == 0 || status.st_size % 512 != 0))
    return fail(Error(ErrorKind::corrupt, cat(path, " is not a raw disk image: its size is not a multiple of 512"))
                    .hint("is it a qcow2 image? say PATH:format=qcow2"));
  MSB_TRY(auto disk, disk::RawDisk::open(path));
  MSB_CHECK_CTX(disk::check_ext4_size(*disk), path);
  return {};
}

Result<> resolve_mounts(std::vector<Mount>& mounts, const state::Home& home, Resolution resolution) {
  std::set<std::string> disks;
  for (auto& mount : mounts) {
    switch (mount.kind) {
      case Mount::Kind::tmpfs:
        break;
      case Mount::Kind::disk:
        MSB_CHECK(resolve_disk(mount));
        if (!disks.insert(mount.source).second)
          return invalid(cat("the disk image ", mount.source, " is mounted twice"), "mount it once");
        break;
      case Mount::Kind::bind:
        MSB_CHECK(resolve_bind(mount, home, resolution));
        break;
      case Mount::Kind::named:
        MSB_CHECK(resolve_volume(mount, home, resolution));
        if (mount.volume_kind == VolumeKind::disk && !disks.insert(home.volume_disk(mount.volume)).second)
          return invalid(cat("the disk volume ", mount.volume, " is mounted twice"), "mount it once");
        break;
    }
  }
  return check_nesting(mounts);
}

std::string next_device(const std::vector<state::DiskSpec>& disks) {
  return cat("/dev/vd", static_cast<char>('a' + disks.size()));
}

std::vector<wire::MountSpec> plan_mounts(const std::vector<Mount>& mounts, const state::Home& home,
                                         state::MachineSpec& machine) {
  std::vector<wire::MountSpec> plan;
  for (const auto& mount : mounts) {
    wire::MountSpec spec;
    spec.target = mount.target;
    spec.read_only = mount.read_only;
    spec.noexec = mount.noexec;
    spec.nosuid = mount.nosuid;
    spec.nodev = mount.nodev;
    switch (mount.kind) {
      case Mount::Kind::tmpfs:
        spec.kind = "tmpfs";
        spec.tmpfs_bytes = uint64_t{mount.size_mib} * kMiB;
        break;
      case Mount::Kind::disk:
        add_disk(mount.source, mount, spec, machine);
        break;
      case Mount::Kind::bind:
        add_share(share_of(mount, cat(machine.shares.size())), spec, machine);
        break;
      case Mount::Kind::named:
        if (mount.volume_kind == VolumeKind::disk)
          add_disk(home.volume_disk(mount.volume), mount, spec, machine);
        else
          add_share(share_of_volume(mount, home, cat(machine.shares.size())), spec, machine);
        break;
    }
    plan.push_back(std::move(spec));
  }
  // "/a" sorts before "/a/b".
  std::ranges::sort(plan, {}, &wire::MountSpec::target);
  return plan;
}

}  // namespace msb
