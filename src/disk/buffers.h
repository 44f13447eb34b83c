// Buffers: the memory of one read or write, in pieces, as preadv and pwritev take it. Guest memory is read and written
// through these without being copied on the way.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/bytes.h"

namespace msb::disk {

using Buffers = std::span<const iovec>;

inline uint64_t total_bytes(Buffers buffers) {
  uint64_t total = 0;
  for (const iovec& buffer : buffers) total += buffer.iov_len;
  return total;
}

// Walks over buffers, a stretch at a time, regardless of where one buffer ends.
class BufferCursor {
 public:
  explicit BufferCursor(Buffers rest) : rest_(rest) {}

  // Adds the next `length` bytes to `out`; there must be as many.
  void take(uint64_t length, std::vector<iovec>& out) {
    while (length > 0) {
      iovec piece = next(length);
      length -= piece.iov_len;
      if (piece.iov_len > 0) out.push_back(piece);
    }
  }
  void skip(uint64_t length) {
    while (length > 0) length -= next(length).iov_len;
  }
  // Copies into, or fills, the next bytes.
  void put(ByteView bytes) {
    while (!bytes.empty()) {
      iovec piece = next(bytes.size());
      std::memcpy(piece.iov_base, bytes.data(), piece.iov_len);
      bytes = bytes.subspan(piece.iov_len);
    }
  }
  void put_zeros(uint64_t length) {
    while (length > 0) {
      iovec piece = next(length);
      std::memset(piece.iov_base, 0, piece.iov_len);
      length -= piece.iov_len;
    }
  }
  // Copies the next bytes out.
  void get(MutableByteView out) {
    while (!out.empty()) {
      iovec piece = next(out.size());
      std::memcpy(out.data(), piece.iov_base, piece.iov_len);
      out = out.subspan(piece.iov_len);
    }
  }

 private:
  iovec next(uint64_t most) {
    while (done_ == rest_.front().iov_len) {
      rest_ = rest_.subspan(1);
      done_ = 0;
    }
    size_t count = static_cast<size_t>(std::min<uint64_t>(most, rest_.front().iov_len - done_));
    iovec piece{static_cast<uint8_t*>(rest_.front().iov_base) + done_, count};
    done_ += count;
    return piece;
  }

  Buffers rest_;
  size_t done_ = 0;  // of the first of rest_
};

// Adds `length` zeros to read from: one block of zeros, over and over.
void append_zeros(uint64_t length, std::vector<iovec>& out);

}  // namespace msb::disk
