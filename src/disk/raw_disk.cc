#include "disk/raw_disk.h"

#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "disk/direct_io.h"

namespace msb::disk {
namespace {

// Calls preadv or pwritev until all is done; `call` gets at most IOV_MAX buffers and an offset. Short results happen at
// a full disk, after signals, and at the end of a file that shrank.
template <class Call>
Result<> transfer(std::string_view what, uint64_t offset, Buffers buffers, Call call) {
  std::vector<iovec> rest;  // used after a short result only
  while (true) {
    while (!buffers.empty() && buffers.front().iov_len == 0) buffers = buffers.subspan(1);
    if (buffers.empty()) return {};
    ssize_t count =
        call(buffers.data(), static_cast<int>(std::min<size_t>(buffers.size(), IOV_MAX)), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(cat(what, " a disk at ", offset));
    if (count == 0)
      return fail(ErrorKind::io, cat(what, " a disk: the file ends at ", offset, ", earlier than before"));
    size_t done = static_cast<size_t>(count);
    offset += done;
    while (!buffers.empty() && done >= buffers.front().iov_len) {
      done -= buffers.front().iov_len;
      buffers = buffers.subspan(1);
    }
    if (done == 0) continue;
    rest = std::vector<iovec>(buffers.begin(), buffers.end());
    rest.front().iov_base = static_cast<uint8_t*>(rest.front().iov_base) + done;
    rest.front().iov_len -= done;
    buffers = rest;
  }
}

}  // namespace

Result<std::unique_ptr<RawDisk>> RawDisk::open(const std::string& path, Access access) {
  // Not blocking: a fifo of that name must be refused below, not waited for.
  MSB_TRY(Fd fd, open_file(path, (access == Access::read_only ? O_RDONLY : O_RDWR) | O_NONBLOCK));
  auto disk = adopt(std::move(fd), {.access = access});
  if (!disk) return fail(std::move(disk).error().context(path));
  return disk;
}

Result<std::unique_ptr<RawDisk>> RawDisk::adopt(Fd fd, Options options) {
  struct stat info;
  if (::fstat(fd.get(), &info) < 0) return fail_errno("stat a disk");
  if (!S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode))
    return fail(ErrorKind::invalid_config, "a disk must be a file or a block device");
  int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0) return fail_errno("read descriptor flags");
  if (options.access == Access::read_write && (flags & O_ACCMODE) != O_RDWR)
    return fail(ErrorKind::invalid_config, "a disk to be written is open for reading only");
  off_t end = ::lseek(fd.get(), 0, SEEK_END);  // st_size is 0 for block devices
  if (end < 0) return fail_errno("find the size of a disk");
  return std::unique_ptr<RawDisk>(new RawDisk(std::move(fd), static_cast<uint64_t>(end), std::move(options)));
}

Result<> RawDisk::readv(uint64_t offset, Buffers out) {
  MSB_CHECK(check_range("read", offset, total_bytes(out)));
  return transfer("read", offset, out,
                  [&](const iovec* pieces, int count, off_t at) { return ::preadv(fd_.get(), pieces, count, at); });
}

bool RawDisk::read_now(uint64_t offset, Buffers out) {
  uint64_t length = total_bytes(out);
  if (!can_read_now_.load(std::memory_order_relaxed) || out.size() > IOV_MAX || !in_range(offset, length, size_))
    return false;
  ssize_t count =
      ::preadv2(fd_.get(), out.data(), static_cast<int>(out.size()), static_cast<off_t>(offset), RWF_NOWAIT);
  if (count < 0 && (errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS))
    can_read_now_.store(false, std::memory_order_relaxed);
  return count >= 0 && static_cast<uint64_t>(count) == length;
}

Result<> RawDisk::writev(uint64_t offset, Buffers in) {
  MSB_CHECK(check_writable("write", offset, total_bytes(in)));
  auto write_to = [&](int fd) {
    return transfer("write", offset, in,
                    [&](const iovec* pieces, int count, off_t at) { return ::pwritev(fd, pieces, count, at); });
  };
  if (options_.direct && suits_direct_write(offset, in)) {
    auto done = write_to(options_.direct.get());
    if (done || done.error().errnum() != EINVAL) return done;
    options_.direct.reset();  // a disk with blocks of more than a page
  }
  return write_to(fd_.get());
}

Result<> RawDisk::flush() {
  if (read_only() || options_.scratch) return {};
  if (lost_writes_) return fail(ErrorKind::io, "flush a disk: the host has lost earlier writes to it");
  int result;
  do {
    result = ::fdatasync(fd_.get());
  } while (result < 0 && errno == EINTR);
  if (result == 0) return {};
  lost_writes_ = true;
  return fail_errno("flush a disk");
}

Result<bool> RawDisk::allocate(int mode, uint64_t offset, uint64_t length) {
  while (true) {
    if (::fallocate(fd_.get(), mode | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(length)) == 0)
      return true;
    if (errno == EINTR) continue;
    if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == EPERM) return false;
    return fail_errno(cat("give back or zero part of a disk at ", offset));
  }
}

Result<> RawDisk::discard(uint64_t offset, uint64_t length) {
  MSB_CHECK(check_writable("discard", offset, length));
  if (length == 0 || !can_punch_) return {};
  MSB_TRY(can_punch_, allocate(FALLOC_FL_PUNCH_HOLE, offset, length));
  return {};
}

Result<> RawDisk::write_zeroes(uint64_t offset, uint64_t length, Unmap unmap) {
  MSB_CHECK(check_writable("write", offset, length));
  if (length == 0) return {};
  if (unmap == Unmap::yes && can_punch_) {
    MSB_TRY(can_punch_, allocate(FALLOC_FL_PUNCH_HOLE, offset, length));
    if (can_punch_) return {};
  }
  if (can_zero_) {
    MSB_TRY(can_zero_, allocate(FALLOC_FL_ZERO_RANGE, offset, length));
    if (can_zero_) return {};
  }
  return BlockDevice::write_zeroes(offset, length, unmap);
}

Result<> RawDisk::grow(uint64_t size) {
  if (read_only()) return fail(ErrorKind::invalid_config, "a read-only disk cannot be made bigger");
  if (size <= size_) return {};
  if (::ftruncate(fd_.get(), static_cast<off_t>(size)) < 0) return fail_errno("make a disk file bigger");
  size_ = size;
  return {};
}

}  // namespace msb::disk
