#include "sandbox/content_digest.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/fd.h"
#include "base/sha256.h"

namespace msb {
namespace {

Sha256::Digest digest_of(ByteView block) {
  Sha256 hash;
  hash.update(block);
  return hash.finish();
}

}  // namespace

Result<std::string> content_digest(int file) {
  struct stat status{};
  if (::fstat(file, &status) < 0) return fail_errno("look at a disk");
  const auto size = static_cast<uint64_t>(status.st_size);
  Bytes block(kDigestBlock);
  const Sha256::Digest zeros = digest_of(block);
  Sha256 whole;
  uint64_t data_from = 0, data_to = 0;  // the data found last
  for (uint64_t at = 0; at < size; at += kDigestBlock) {
    const uint64_t end = std::min(at + kDigestBlock, size);
    if (data_to <= at) {
      const off_t data = ::lseek(file, static_cast<off_t>(at), SEEK_DATA);
      if (data < 0 && errno != ENXIO) return fail_errno("find data on a disk");
      data_from = data < 0 ? size : static_cast<uint64_t>(data);
      const off_t hole = data < 0 ? status.st_size : ::lseek(file, data, SEEK_HOLE);
      if (hole < 0) return fail_errno("find the end of data on a disk");
      data_to = static_cast<uint64_t>(hole);
    }
    if (data_from >= end) {
      whole.update(zeros);
      continue;
    }
    std::ranges::fill(block, uint8_t{0});
    MSB_CHECK(pread_full(file, MutableByteView(block).first(end - at), at));
    whole.update(digest_of(block));
  }
  return cat("sha256:", whole.finish_hex());
}

}  // namespace msb
