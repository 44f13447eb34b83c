#include "base/atomic_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/cleanup.h"
#include "base/fd.h"

namespace msb {

Result<> write_file_then_rename(const std::string& path, mode_t mode, Sync sync,
                                const std::function<Result<>(int fd)>& fill) {
  std::string temporary = path + ".XXXXXX";
  Fd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return fail_errno(cat("create ", temporary));
  Cleanup remove_temporary([&] { ::unlink(temporary.c_str()); });
  MSB_CHECK_CTX(fill(fd.get()), cat("write ", path));
  if (::fchmod(fd.get(), mode) < 0) return fail_errno(cat("set the mode of ", temporary));
  if (sync == Sync::yes && ::fsync(fd.get()) < 0) return fail_errno(cat("write ", path));
  if (::rename(temporary.c_str(), path.c_str()) < 0) return fail_errno(cat("rename to ", path));
  remove_temporary.dismiss();
  return {};
}

Result<> write_file_atomic(const std::string& path, std::string_view contents, mode_t mode) {
  return write_file_then_rename(path, mode, Sync::no, [&](int fd) { return write_full(fd, as_bytes(contents)); });
}

}  // namespace msb
