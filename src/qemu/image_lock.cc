#include "qemu/image_lock.h"

#include <fcntl.h>

#include "base/fd.h"

namespace msb::qemu {
namespace {

// block/file-posix.c: read locks on a byte for each permission that is used (from 100 on) or not shared (from 200 on).
constexpr off_t kFirst = 100;
constexpr off_t kCount = 200;

}  // namespace

Result<> wait_for_release(const std::string& path, const std::function<void()>& on_wait) {
  MSB_TRY(Fd file, open_file(path, O_RDWR));
  struct flock all{};
  all.l_type = F_WRLCK;
  all.l_whence = SEEK_SET;
  all.l_start = kFirst;
  all.l_len = kCount;
  if (::fcntl(file.get(), F_OFD_SETLK, &all) == 0) return {};
  on_wait();
  while (::fcntl(file.get(), F_OFD_SETLKW, &all) < 0)
    if (errno != EINTR) return fail_errno(cat("wait for the lock of ", path));
  return {};
}

}  // namespace msb::qemu
