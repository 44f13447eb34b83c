// request: an ioctl that goes on after a signal. `what` is the verb of the error: "create a virtual machine".
#pragma once

#include <sys/ioctl.h>

#include <cerrno>
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace msb::kvm {

inline Result<int> request(int fd, unsigned long number, uintptr_t argument, std::string_view what) {
  int result = -1;
  do {
    result = ::ioctl(fd, number, argument);
  } while (result < 0 && errno == EINTR);
  if (result < 0) return fail_errno(what);
  return result;
}

inline Result<int> request(int fd, unsigned long number, const void* argument, std::string_view what) {
  return request(fd, number, reinterpret_cast<uintptr_t>(argument), what);
}

}  // namespace msb::kvm
