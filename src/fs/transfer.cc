#include "fs/transfer.h"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace msb::fs {
namespace {

// Enough for any disk; a page of the guest's is as much.
constexpr uint64_t kAlignment = 4096;
constexpr uint64_t kLarge = 64 * 1024;

struct Piece {
  const iovec* vectors;
  int count;
  uint64_t offset;

  bool is_large_and_aligned() const {
    uint64_t bits = offset, size = 0;
    for (int i = 0; i < count; ++i) {
      bits |= reinterpret_cast<uintptr_t>(vectors[i].iov_base) | vectors[i].iov_len;
      size += vectors[i].iov_len;
    }
    return bits % kAlignment == 0 && size >= kLarge;
  }
};

// `move` is a system call on a descriptor and a Piece.
template <class Move>
int move_all(const Handle& handle, const std::vector<MutableByteView>& views, uint64_t offset, Move&& move,
             uint64_t& done) {
  std::vector<iovec> vectors;
  vectors.reserve(views.size());
  for (const auto& view : views) vectors.push_back({view.data(), view.size()});
  done = 0;
  for (size_t first = 0; first < vectors.size();) {
    const Piece piece{&vectors[first], static_cast<int>(std::min<size_t>(vectors.size() - first, IOV_MAX)),
                      offset + done};
    ssize_t moved = -1;
    const bool direct = handle.direct && piece.is_large_and_aligned();
    if (direct) moved = move(handle.direct.get(), piece);
    // The disk may want more than we know of.
    if (!direct || (moved < 0 && errno == EINVAL)) moved = move(handle.fd.get(), piece);
    if (moved < 0 && errno == EINTR) continue;
    if (moved < 0) return done > 0 ? 0 : errno;
    if (moved == 0) return 0;
    done += static_cast<uint64_t>(moved);
    auto left = static_cast<size_t>(moved);
    while (first < vectors.size() && left >= vectors[first].iov_len) left -= vectors[first++].iov_len;
    if (left > 0) {
      vectors[first].iov_base = static_cast<uint8_t*>(vectors[first].iov_base) + left;
      vectors[first].iov_len -= left;
    }
  }
  return 0;
}

}  // namespace

int read_data(const Handle& handle, const std::vector<MutableByteView>& into, uint64_t offset, uint64_t& done) {
  auto read = [](int fd, const Piece& piece) {
    return ::preadv(fd, piece.vectors, piece.count, static_cast<off_t>(piece.offset));
  };
  return move_all(handle, into, offset, read, done);
}

int write_data(const Handle& handle, const std::vector<MutableByteView>& from, uint64_t offset, Place place,
               uint64_t& done) {
  auto write = [place](int fd, const Piece& piece) {
    return place == Place::at_end ? ::pwritev2(fd, piece.vectors, piece.count, 0, RWF_APPEND)
                                  : ::pwritev(fd, piece.vectors, piece.count, static_cast<off_t>(piece.offset));
  };
  return move_all(handle, from, offset, write, done);
}

}  // namespace msb::fs
