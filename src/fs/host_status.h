// Attributes of a file that is held as O_PATH.
#pragma once

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace msb::fs {

// An errno value. The system call itself: the C library makes it an fstatat(2) with an empty path, which takes the
// kernel two to four times as long, and each request has at least one.
inline int status_of(int fd, struct stat& status) {
  return ::syscall(SYS_fstat, fd, &status) < 0 ? errno : 0;
}

}  // namespace msb::fs
