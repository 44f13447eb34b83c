#include "agent/root.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "agent/machine.h"
#include "agent/mounts.h"
#include "agent/tree_copy.h"
#include "base/ext4_super.h"

namespace msb::agent {
namespace {

constexpr const char* kLower = "/lower";
constexpr const char* kUpper = "/upper";
constexpr const char* kUpperFiles = "/upper/upper";
constexpr const char* kUpperWork = "/upper/work";
// A flat root is a directory of its disk, so that there is a place for a copy that is not complete.
constexpr const char* kFlatRoot = "/upper/root";
constexpr const char* kFlatDraft = "/upper/root.new";
constexpr const char* kNewRoot = "/root";
// include/uapi/linux/ext4.h, which the kernel's headers for programs lack in places.
constexpr unsigned long kResizeFs = _IOW('f', 16, uint64_t);

// The merged root directory shows the upper one's owner and mode: they must be the image's.
Result<> copy_root_mode() {
  struct stat lower;
  if (::stat(kLower, &lower) < 0) return fail_errno("read the root directory of the image");
  if (::chown(kUpperFiles, lower.st_uid, lower.st_gid) < 0 || ::chmod(kUpperFiles, lower.st_mode & 07777) < 0)
    return fail_errno("set up the writable layer");
  return {};
}

Result<> prepare_overlay() {
  bool fresh = ::mkdir(kUpperFiles, 0755) == 0;
  if (!fresh && errno != EEXIST) return fail_errno("create the writable layer");
  if (::mkdir(kUpperWork, 0700) < 0 && errno != EEXIST) return fail_errno("create the writable layer");
  if (fresh) MSB_CHECK(copy_root_mode());
  return {};
}

// An ext4 that is smaller than its device: the device has grown since the last start.
Result<> grow_ext4(const std::string& device) {
  MSB_TRY(Fd disk, open_file(device, O_RDONLY));
  uint64_t bytes = 0;
  if (::ioctl(disk.get(), BLKGETSIZE64, &bytes) < 0) return fail_errno(cat("find the size of ", device));
  Bytes super(kExt4SuperSize);
  MSB_CHECK(pread_full(disk.get(), super, kExt4SuperOffset));
  auto size = read_ext4_size(super);
  if (!size || size->block_size == 0) return {};
  uint64_t blocks = bytes / size->block_size;
  if (blocks <= size->blocks) return {};
  MSB_TRY(Fd mounted, open_file(kUpper, O_RDONLY | O_DIRECTORY));
  // One that cannot grow is as good as it was.
  if (::ioctl(mounted.get(), kResizeFs, &blocks) < 0)
    kernel_log(cat("the file system on ", device, " cannot grow to ", blocks, " blocks: ", std::strerror(errno)));
  return {};
}

// Whatever breaks it off, a root has its name only when all of it is on the disk.
Result<> copy_flat(const std::string& lower) {
  MSB_CHECK(mount_disk(lower, kLower, "erofs", MS_RDONLY));
  MSB_CHECK(remove_tree(kFlatDraft));
  MSB_CHECK(copy_tree(kLower, kFlatDraft));
  ::umount2(kLower, 0);
  MSB_TRY(Fd disk, open_file(kUpper, O_RDONLY | O_DIRECTORY));
  if (::syncfs(disk.get()) < 0) return fail_errno("write the root file system");
  if (::rename(kFlatDraft, kFlatRoot) < 0) return fail_errno("put the root file system in place");
  if (::fsync(disk.get()) < 0) return fail_errno("write the root file system");
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
    if (spec.grow) MSB_CHECK(grow_ext4(spec.device));
  }
  MSB_TRY(upper_, open_file(kUpper, O_RDONLY | O_DIRECTORY));
  return {};
}

Result<> Root::assemble_overlay(const wire::RootSpec& spec) {
  MSB_CHECK(mount_disk(spec.lower, kLower, "erofs", MS_RDONLY));
  MSB_CHECK(mount_upper(spec));
  MSB_CHECK(prepare_overlay());
  std::string options = cat("lowerdir=", kLower, ",upperdir=", kUpperFiles, ",workdir=", kUpperWork);
  return mount_one({"overlay", kNewRoot, "overlay", 0, options.c_str()});
}

Result<> Root::assemble_flat(const wire::RootSpec& spec) {
  MSB_CHECK(mount_upper(spec));
  if (::access(kFlatRoot, F_OK) < 0) MSB_CHECK(copy_flat(spec.lower));
  return mount_one({kFlatRoot, kNewRoot, nullptr, MS_BIND});
}

Result<> Root::enter(const wire::RootSpec& spec) {
  MSB_CHECK(make_directories(kNewRoot));
  if (spec.kind == "overlay") {
    MSB_CHECK(assemble_overlay(spec));
  } else if (spec.kind == "flat") {
    MSB_CHECK(assemble_flat(spec));
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
