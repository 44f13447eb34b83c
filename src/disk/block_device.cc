#include "disk/block_device.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace msb::disk {
namespace {

tl::unexpected<Error> past_the_end(uint64_t offset, size_t length, uint64_t size) {
  return fail(ErrorKind::invalid_config,
              cat("read of ", length, " bytes at ", offset, " of a disk of ", size, " bytes"));
}

}  // namespace

Result<std::unique_ptr<RawDisk>> RawDisk::open(const std::string& path) {
  // Not blocking: a fifo of that name must be refused below, not waited for.
  MSB_TRY(Fd fd, open_file(path, O_RDONLY | O_NONBLOCK));
  auto disk = adopt(std::move(fd));
  if (!disk) return fail(std::move(disk).error().context(path));
  return disk;
}

Result<std::unique_ptr<RawDisk>> RawDisk::adopt(Fd fd) {
  struct stat info;
  if (::fstat(fd.get(), &info) < 0) return fail_errno("stat a disk");
  if (!S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode))
    return fail(ErrorKind::invalid_config, "a disk must be a file or a block device");
  off_t end = ::lseek(fd.get(), 0, SEEK_END);  // st_size is 0 for block devices
  if (end < 0) return fail_errno("find the size of a disk");
  return std::unique_ptr<RawDisk>(new RawDisk(std::move(fd), static_cast<uint64_t>(end)));
}

Result<> RawDisk::read(uint64_t offset, MutableByteView out) {
  if (!in_range(offset, out.size(), size_)) return past_the_end(offset, out.size(), size_);
  return pread_full(fd_.get(), out, offset);
}

Result<> MemoryDisk::read(uint64_t offset, MutableByteView out) {
  if (!in_range(offset, out.size(), bytes_.size())) return past_the_end(offset, out.size(), bytes_.size());
  std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
  return {};
}

}  // namespace msb::disk
