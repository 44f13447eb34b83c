#include "agent/root.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/mounts.h"

namespace msb::agent {
namespace {

constexpr const char* kLower = "/lower";
constexpr const char* kUpper = "/upper";
constexpr const char* kUpperFiles = "/upper/upper";
constexpr const char* kUpperWork = "/upper/work";
constexpr const char* kNewRoot = "/root";

// The merged root directory shows the upper one's owner and mode: they must be the image's.
Result<> copy_root_mode() {
  struct stat lower;
  if (::stat(kLower, &lower) < 0) return fail_errno("read the root directory of the image");
  if (::chown(kUpperFiles, lower.st_uid, lower.st_gid) < 0 || ::chmod(kUpperFiles, lower.st_mode & 07777) < 0)
    return fail_errno("set up the writable layer");
  return {};
}

}  // namespace

Result<> Root::mount_upper(const wire::RootSpec& spec) {
  if (spec.device.empty()) {
    MSB_CHECK(make_directories(kUpper));
    std::string options = spec.tmpfs_bytes ? cat("mode=0755,size=", spec.tmpfs_bytes) : "mode=0755";
    MSB_CHECK(mount_one({"upper", kUpper, "tmpfs", MS_NOATIME, options.c_str()}));
  } else {
    MSB_CHECK(mount_disk(spec.device, kUpper, spec.fstype, MS_NOATIME));
  }
  bool fresh = ::mkdir(kUpperFiles, 0755) == 0;
  if (!fresh && errno != EEXIST) return fail_errno("create the writable layer");
  if (::mkdir(kUpperWork, 0700) < 0 && errno != EEXIST) return fail_errno("create the writable layer");
  if (fresh) MSB_CHECK(copy_root_mode());
  MSB_TRY(upper_, open_file(kUpper, O_RDONLY | O_DIRECTORY));
  return {};
}

Result<> Root::assemble_overlay(const wire::RootSpec& spec) {
  MSB_CHECK(mount_disk(spec.lower, kLower, "erofs", MS_RDONLY));
  MSB_CHECK(mount_upper(spec));
  std::string options = cat("lowerdir=", kLower, ",upperdir=", kUpperFiles, ",workdir=", kUpperWork);
  return mount_one({"overlay", kNewRoot, "overlay", 0, options.c_str()});
}

Result<> Root::enter(const wire::RootSpec& spec) {
  MSB_CHECK(make_directories(kNewRoot));
  if (spec.kind == "overlay") {
    MSB_CHECK(assemble_overlay(spec));
  } else if (spec.kind == "disk") {
    MSB_CHECK(mount_disk(spec.device, kNewRoot, spec.fstype, spec.read_only ? MS_RDONLY : 0));
  } else {
    return fail(ErrorKind::unsupported, cat("this agent does not know the kind of root '", spec.kind, "'"));
  }
  MSB_CHECK(move_early(kNewRoot));
  // The initramfs cannot be pivoted away from: the new root is moved over it.
  if (::chdir(kNewRoot) < 0) return fail_errno("enter the root file system");
  if (::mount(".", "/", nullptr, MS_MOVE, nullptr) < 0) return fail_errno("move the root file system into place");
  if (::chroot(".") < 0 || ::chdir("/") < 0) return fail_errno("change the root directory");
  return {};
}

void Root::make_read_only() {
  ::sync();
  ::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_RDONLY, nullptr);
  if (!upper_) return;
  std::string path = cat("/proc/self/fd/", upper_.get());
  ::mount(nullptr, path.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr);
}

}  // namespace msb::agent
