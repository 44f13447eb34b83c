#include "disk/direct_io.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>

namespace msb::disk {
namespace {

constexpr uint64_t kAlignment = 4096;
constexpr uint64_t kLongWrite = uint64_t{128} << 10;
constexpr long kXfsMagic = 0x58465342;  // XFS_SB_MAGIC, which no header for programs has

bool aligned(uint64_t number) {
  return number % kAlignment == 0;
}

}  // namespace

Fd open_direct(int fd) {
  struct stat info;
  struct statfs system;
  if (::fstat(fd, &info) < 0 || !S_ISREG(info.st_mode) || ::fstatfs(fd, &system) < 0) return {};
  if (system.f_type != EXT4_SUPER_MAGIC && system.f_type != kXfsMagic) return {};
  return Fd(::open(cat("/proc/self/fd/", fd).c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC));
}

bool suits_direct_write(uint64_t offset, Buffers in) {
  if (!aligned(offset) || total_bytes(in) < kLongWrite) return false;
  return std::ranges::all_of(in, [](const iovec& piece) {
    return aligned(reinterpret_cast<uintptr_t>(piece.iov_base)) && aligned(piece.iov_len);
  });
}

}  // namespace msb::disk
