#include "agent/mounts.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "agent/text.h"
#include "base/cleanup.h"
#include "base/fd.h"

namespace msb::agent {
namespace {

constexpr unsigned long kPlain = MS_NOSUID | MS_NODEV | MS_NOEXEC;

constexpr Mount kEarly[] = {
    {"dev", "/dev", "devtmpfs", MS_NOSUID, "mode=0755"},
    {"proc", "/proc", "proc", kPlain},
    {"sysfs", "/sys", "sysfs", kPlain},
};
constexpr Mount kBase[] = {
    {"devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=0620,gid=5,ptmxmode=0666"},
    {"shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777"},
};
constexpr Mount kLate[] = {
    {"mqueue", "/dev/mqueue", "mqueue", kPlain},
    {"cgroup2", "/sys/fs/cgroup", "cgroup2", kPlain, "nsdelegate"},
};

struct Link {
  const char* target;
  const char* path;
};
constexpr Link kLinks[] = {
    {"/proc/self/fd", "/dev/fd"},
    {"/proc/self/fd/0", "/dev/stdin"},
    {"/proc/self/fd/1", "/dev/stdout"},
    {"/proc/self/fd/2", "/dev/stderr"},
};

// Initialising the inode tables of a fresh file system in the background would make its sparse image grow; discarding
// what is removed makes it smaller again.
const char* options_of(const std::string& fstype, unsigned long flags) {
  return fstype == "ext4" && !(flags & MS_RDONLY) ? "noinit_itable,discard" : nullptr;
}

// A device whose type nobody stated: every type that works on devices is tried.
Result<> mount_guessing(const std::string& device, const char* target, unsigned long flags) {
  MSB_TRY(std::string known, read_file("/proc/filesystems", 64 * 1024));
  for (auto line : split(known, '\n')) {
    auto fields = words(line);
    if (fields.size() != 1) continue;  // "nodev X"
    std::string type(fields[0]);
    if (::mount(device.c_str(), target, type.c_str(), flags, options_of(type, flags)) == 0) return {};
  }
  return fail(ErrorKind::io, cat("mount ", device, ": no file system that this kernel knows is on it"));
}

unsigned long flags_of(const wire::MountSpec& mount) {
  return (mount.read_only ? MS_RDONLY : 0ul) | (mount.noexec ? MS_NOEXEC : 0ul) | (mount.nosuid ? MS_NOSUID : 0ul) |
         (mount.nodev ? MS_NODEV : 0ul);
}

// Where the file system with all shares is while they are bound to their places. On devtmpfs, which can always be
// written; no process of the guest's runs yet.
constexpr const char* kShares = "/dev/.msb-shares";
constexpr const char* kShareTag = "msb";

Result<> make_file(const std::string& path) {
  if (size_t slash = path.rfind('/'); slash > 0) MSB_CHECK(make_directories(path.substr(0, slash)));
  // One that is there already may be on a read-only file system.
  if (::access(path.c_str(), F_OK) == 0) return {};
  return open_file(path, O_WRONLY | O_CREAT | O_NOCTTY, 0644).map([](const Fd&) {});
}

Result<> mount_share(const wire::MountSpec& mount) {
  for (const std::string* name : {&mount.share, &mount.file})
    if (name->find('/') != name->npos || *name == "." || *name == ".." || (name == &mount.share && name->empty()))
      return fail(ErrorKind::protocol, cat("a share cannot be called '", *name, "'"));
  std::string source = cat(kShares, "/", mount.share);
  if (mount.file.empty()) {
    MSB_CHECK(make_directories(mount.target));
  } else {
    source += "/" + mount.file;
    MSB_CHECK(make_file(mount.target));
  }
  if (::mount(source.c_str(), mount.target.c_str(), nullptr, MS_BIND, nullptr) < 0)
    return fail_errno(cat("bind the share to ", mount.target));
  // A bind mount takes flags of its own only when it is there.
  if (::mount(nullptr, mount.target.c_str(), nullptr, MS_REMOUNT | MS_BIND | flags_of(mount), nullptr) < 0)
    return fail_errno(cat("set the options of ", mount.target));
  return {};
}

Result<> mount_extra_one(const wire::MountSpec& mount) {
  if (mount.kind == "share") return mount_share(mount);
  if (mount.kind == "disk") return mount_disk(mount.device, mount.target.c_str(), mount.fstype, flags_of(mount));
  if (mount.kind == "tmpfs") {
    std::string options = mount.tmpfs_bytes ? cat("mode=1777,size=", mount.tmpfs_bytes) : "mode=1777";
    return mount_one({"tmpfs", mount.target.c_str(), "tmpfs", flags_of(mount), options.c_str()});
  }
  return fail(ErrorKind::unsupported, cat("this agent does not know the kind of mount '", mount.kind, "'"));
}

}  // namespace

Result<> make_directories(const std::string& path, unsigned mode) {
  if (::mkdir(path.c_str(), mode) == 0) return {};
  if (errno == EEXIST) return {};
  int error = errno;
  size_t slash = path.rfind('/');
  if (error == ENOENT && slash != std::string::npos && slash > 0) {
    MSB_CHECK(make_directories(path.substr(0, slash), mode));
    if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return {};
    error = errno;
  }
  // A read-only parent says so before it says that the directory is there.
  struct stat info;
  if (::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return {};
  return fail_errno(cat("create directory ", path), error);
}

Result<> mount_one(const Mount& mount) {
  auto attempt = [&] { return ::mount(mount.source, mount.target, mount.type, mount.flags, mount.data) == 0; };
  // Nearly always the directory is there.
  if (attempt()) return {};
  if (errno == ENOENT) {
    MSB_CHECK(make_directories(mount.target));
    if (attempt()) return {};
  }
  return fail_errno(cat("mount ", mount.source, " (", mount.type ? mount.type : "moved", ") on ", mount.target));
}

Result<> mount_early() {
  for (const auto& mount : kEarly) MSB_CHECK(mount_one(mount));
  return {};
}

Result<> move_early(const std::string& root) {
  for (const auto& mount : kEarly) {
    std::string target = root + mount.target;
    MSB_CHECK(mount_one({mount.target, target.c_str(), nullptr, MS_MOVE}));
  }
  return {};
}

Result<> mount_base(uint64_t tmp_bytes) {
  for (const auto& mount : kBase) MSB_CHECK(mount_one(mount));
  // A device tree of an own image may have them already.
  for (const auto& link : kLinks) [[maybe_unused]]
    int ignored = ::symlink(link.target, link.path);
  if (tmp_bytes > 0) {
    std::string options = cat("mode=1777,size=", tmp_bytes);
    MSB_CHECK(mount_one({"tmp", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()}));
  } else if (::mkdir("/tmp", 01777) == 0) {
    // The mode given to mkdir went through the umask.
    ::chmod("/tmp", 01777);
  }
  return {};
}

Result<> mount_disk(const std::string& device, const char* target, const std::string& fstype, unsigned long flags) {
  MSB_CHECK(make_directories(target));
  if (fstype.empty()) return mount_guessing(device, target, flags);
  return mount_one({device.c_str(), target, fstype.c_str(), flags, options_of(fstype, flags)});
}

Result<> mount_extra(const std::vector<wire::MountSpec>& mounts) {
  const bool shares = std::ranges::any_of(mounts, [](const auto& mount) { return mount.kind == "share"; });
  if (shares) MSB_CHECK_CTX(mount_one({kShareTag, kShares, "virtiofs", 0}), "the shares of the host");
  // Through it each share could be reached without the flags of its own mount.
  Cleanup take_away([&] {
    if (!shares) return;
    ::umount2(kShares, MNT_DETACH);
    ::rmdir(kShares);
  });
  for (const auto& mount : mounts)
    if (auto mounted = mount_extra_one(mount); !mounted)
      return fail(std::move(mounted).error().context(cat("the mount on ", mount.target)));
  return {};
}

void unmount_extra(const std::vector<wire::MountSpec>& mounts) {
  for (auto mount = mounts.rbegin(); mount != mounts.rend(); ++mount) {
    if (mount->kind == "tmpfs") continue;
    // Something of the guest's own may be mounted below it.
    if (::umount2(mount->target.c_str(), 0) < 0)
      ::mount(nullptr, mount->target.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr);
  }
}

void mount_late() {
  for (const auto& mount : kLate) (void)mount_one(mount);
}

}  // namespace msb::agent
