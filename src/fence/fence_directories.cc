#include "fence/fence_directories.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "fence/linux_abi.h"

namespace msb::fence {
namespace {

constexpr const char* kDescriptors = "/proc/self/fd";

FenceOutcome stopped(FenceStep step, size_t detail) {
  return {step, errno, static_cast<int>(detail)};
}

int clone_tree(const char* path) {
  return static_cast<int>(
      ::syscall(abi::kSysOpenTree, AT_FDCWD, path, abi::kOpenTreeClone | O_CLOEXEC | abi::kAtRecursive));
}

// What a path leads to can change at any time, also by what another guest does below a directory it shares.
bool same_file(int one, int other) {
  struct stat first{}, second{};
  return ::fstat(one, &first) == 0 && ::fstat(other, &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

bool put(int fd, int number) {
  if (::dup2(fd, number) < 0) return false;
  ::close(fd);
  return true;
}

}  // namespace

FenceOutcome detach_directories(FenceScript& script) {
  for (size_t i = 0; i < script.directories.size(); ++i) {
    const FenceScript::Directory& directory = script.directories[i];
    const size_t detail = script.files.size() + i;
    int fd = clone_tree(directory.path);
    if (fd < 0) return stopped(FenceStep::detach_directory, detail);
    if (!same_file(fd, directory.ours)) {
      errno = ESTALE;
      return stopped(FenceStep::same_directory, detail);
    }
    abi::MountAttributes seal{abi::kMountAttrNoSuid | abi::kMountAttrNoDev | abi::kMountAttrNoExec, 0, 0, 0};
    if (!directory.modify) seal.set |= abi::kMountAttrReadOnly;
    if (::syscall(abi::kSysMountSetattr, fd, "", AT_EMPTY_PATH | abi::kAtRecursive, &seal, sizeof(seal)) < 0)
      return stopped(FenceStep::seal_directory, detail);
    if (!put(fd, directory.fd)) return stopped(FenceStep::detach_directory, detail);
  }
  script.descriptors = clone_tree(kDescriptors);
  return script.descriptors < 0 ? FenceOutcome{FenceStep::enter_descriptors, errno} : FenceOutcome{};
}

FenceOutcome open_directories(FenceScript& script) {
  for (size_t i = 0; i < script.directories.size(); ++i) {
    const FenceScript::Directory& directory = script.directories[i];
    if (::dup2(directory.ours, directory.fd) < 0) return stopped(FenceStep::open_directory, script.files.size() + i);
  }
  script.descriptors = ::open(kDescriptors, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return script.descriptors < 0 ? FenceOutcome{FenceStep::enter_descriptors, errno} : FenceOutcome{};
}

}  // namespace msb::fence
