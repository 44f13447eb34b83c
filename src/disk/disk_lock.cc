#include "disk/disk_lock.h"

#include <fcntl.h>

#include <cerrno>

namespace msb::disk {
namespace {

// QEMU's block/file-posix.c: a read lock on kHeld + n says "I use permission n", on kForbidden + n "nobody else may".
constexpr int kHeld = 100, kForbidden = 200;
constexpr int kRead = 0, kWrite = 1, kResize = 3;

struct flock at(short type, int byte) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return lock;
}

// False with errno EAGAIN when somebody else holds a lock on the byte.
bool is_free(int fd, int byte) {
  struct flock probe = at(F_WRLCK, byte);
  if (::fcntl(fd, F_OFD_GETLK, &probe) < 0) return false;
  errno = EAGAIN;
  return probe.l_type == F_UNLCK;
}

bool hold(int fd, int byte) {
  struct flock lock = at(F_RDLCK, byte);
  return ::fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

// First everybody announces, then looks: of two that start at once at least one sees the other.
bool lock(int fd, Access access) {
  bool writer = access == Access::read_write;
  if (!hold(fd, kHeld + kRead)) return false;
  for (int permission : {kWrite, kResize}) {
    if (writer && !hold(fd, kHeld + permission)) return false;
    if (!hold(fd, kForbidden + permission)) return false;
  }
  if (!is_free(fd, kForbidden + kRead)) return false;
  for (int permission : {kWrite, kResize}) {
    if (writer && !is_free(fd, kForbidden + permission)) return false;
    if (!is_free(fd, kHeld + permission)) return false;
  }
  return true;
}

}  // namespace

Result<> lock_disk(int fd, const std::string& path, Access access) {
  if (lock(fd, access)) return {};
  if (errno == EAGAIN || errno == EACCES)
    return fail(Error(ErrorKind::invalid_config, cat("the disk ", path, " is in use by another sandbox or program"))
                    .hint("Stop what has it open, or give this sandbox a copy."));
  // File systems without locks (some network shares): as QEMU does, go on without.
  if (errno == ENOTSUP || errno == ENOSYS || errno == EINVAL || errno == ENOLCK) return {};
  return fail_errno(cat("lock the disk ", path));
}

Result<Fd> open_disk(const std::string& path, Access access) {
  auto fd = open_file(path, access == Access::read_write ? O_RDWR : O_RDONLY);
  if (!fd) return fail(std::move(fd).error().context("give the machine its disk"));
  MSB_CHECK(lock_disk(fd->get(), path, access));
  return fd;
}

}  // namespace msb::disk
