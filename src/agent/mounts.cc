#include "agent/mounts.h"

#include <sys/stat.h>
#include <unistd.h>

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

void mount_late() {
  for (const auto& mount : kLate) (void)mount_one(mount);
}

}  // namespace msb::agent
