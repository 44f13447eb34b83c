#include "disk/sparse_copy.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.h"

namespace msb::disk {
namespace {

constexpr size_t kChunk = size_t{256} << 10;

Result<> copy_range(int source, int target, uint64_t from, uint64_t to, Bytes& buffer) {
  while (from < to) {
    MutableByteView chunk = MutableByteView(buffer).first(static_cast<size_t>(std::min<uint64_t>(to - from, kChunk)));
    MSB_CHECK(pread_full(source, chunk, from));
    MSB_CHECK(pwrite_full(target, chunk, from));
    from += chunk.size();
  }
  return {};
}

}  // namespace

Result<> copy_sparse(int source, int target, CloneBy by) {
  if (by != CloneBy::copy && ::ioctl(target, FICLONE, source) == 0) return {};
  if (by == CloneBy::reflink)
    return fail(Error::from_errno(errno, "clone a disk by a reflink")
                    .as(ErrorKind::unsupported)
                    .hint("the file system of MSB_HOME has no reflinks; btrfs and xfs do"));
  struct stat info;
  if (::fstat(source, &info) < 0) return fail_errno("stat the file to copy");
  if (::ftruncate(target, info.st_size) < 0) return fail_errno("set the size of the copy");
  Bytes buffer(kChunk);
  for (off_t at = 0; at < info.st_size;) {
    off_t data = ::lseek(source, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // only a hole is left
    if (data < 0) return fail_errno("find data in the file to copy");
    off_t hole = ::lseek(source, data, SEEK_HOLE);
    if (hole < 0) return fail_errno("find the end of data in the file to copy");
    MSB_CHECK(copy_range(source, target, static_cast<uint64_t>(data), static_cast<uint64_t>(hole), buffer));
    at = hole;
  }
  return {};
}

}  // namespace msb::disk
