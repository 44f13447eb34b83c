#include "base/file_lock.h"

#include <sys/file.h>
#include <sys/stat.h>

namespace msb {
namespace {

int operation(LockMode mode) {
  return mode == LockMode::shared ? LOCK_SH : LOCK_EX;
}

// A lock file may be unlinked by its owner between our open and our flock: then we
// hold a lock on nothing and must try again with the file that is there now.
Result<bool> still_there(int fd, const std::string& path) {
  struct stat ours, theirs;
  if (::fstat(fd, &ours) < 0) return fail_errno(cat("stat ", path));
  if (::stat(path.c_str(), &theirs) < 0) {
    if (errno == ENOENT) return false;
    return fail_errno(cat("stat ", path));
  }
  return ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

// False when somebody else holds it.
Result<bool> try_flock(int fd, const std::string& path, LockMode mode) {
  if (::flock(fd, operation(mode) | LOCK_NB) == 0) return true;
  if (errno == EWOULDBLOCK) return false;
  return fail_errno(cat("lock ", path));
}

}  // namespace

Result<FileLock> FileLock::acquire(const std::string& path, LockMode mode) {
  while (true) {
    MSB_TRY(Fd fd, open_file(path, O_RDWR | O_CREAT, 0600));
    int result;
    do {
      result = ::flock(fd.get(), operation(mode));
    } while (result < 0 && errno == EINTR);
    if (result < 0) return fail_errno(cat("lock ", path));
    MSB_TRY(bool current, still_there(fd.get(), path));
    if (current) return FileLock(std::move(fd));
  }
}

Result<std::optional<FileLock>> FileLock::try_acquire(const std::string& path, LockMode mode) {
  while (true) {
    MSB_TRY(Fd fd, open_file(path, O_RDWR | O_CREAT, 0600));
    MSB_TRY(bool free, try_flock(fd.get(), path, mode));
    if (!free) return std::nullopt;
    MSB_TRY(bool current, still_there(fd.get(), path));
    if (current) return std::optional(FileLock(std::move(fd)));
  }
}

Result<std::optional<FileLock>> FileLock::try_acquire_existing(const std::string& path, LockMode mode) {
  auto fd = open_file(path, O_RDONLY | O_NOFOLLOW);
  if (!fd && fd.error().errnum() == ENOENT) return std::nullopt;
  if (!fd) return fail(std::move(fd).error());
  MSB_TRY(bool free, try_flock(fd->get(), path, mode));
  if (!free) return std::nullopt;
  MSB_TRY(bool current, still_there(fd->get(), path));
  if (!current) return std::nullopt;
  return std::optional(FileLock(std::move(*fd)));
}

}  // namespace msb
