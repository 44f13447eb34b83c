// FileLock: an flock(2) held as long as the object lives; the kernel drops it when
// the process dies, which is how a dead owner is told from a living one.
#pragma once

#include <optional>
#include <string>

#include "base/fd.h"

namespace msb {

enum class LockMode { shared, exclusive };

class [[nodiscard]] FileLock {
 public:
  // Creates the file when missing. Waits for the lock.
  static Result<FileLock> acquire(const std::string& path, LockMode mode);
  // nullopt when somebody else holds it.
  static Result<std::optional<FileLock>> try_acquire(const std::string& path, LockMode mode);
  // The lock of something that is there, which may be a directory; nullopt also when it is not there.
  static Result<std::optional<FileLock>> try_acquire_existing(const std::string& path, LockMode mode);
  // Takes over a descriptor that already holds the lock (inherited from a parent).
  static FileLock adopt(Fd fd) { return FileLock(std::move(fd)); }

  int fd() const { return fd_.get(); }

 private:
  explicit FileLock(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace msb
