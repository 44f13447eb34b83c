// FuseReply: the answer to one request, written into the guest's buffers: header, then what the operation adds.
// What finds no room is an error of the guest's making; the operation answers ERANGE or sends less.
#pragma once

#include <linux/fuse.h>

#include <type_traits>
#include <vector>

#include "base/bytes.h"
#include "fs/fuse_request.h"

namespace msb::fs {

class FuseReply {
 public:
  explicit FuseReply(Buffers buffers) : buffers_(buffers), capacity_(size_of(buffers)) {}

  // Bytes that still find room.
  uint64_t room() const { return capacity_ > size_ ? capacity_ - size_ : 0; }

  // False when there is no room for it; then nothing is added.
  bool add(ByteView bytes);
  template <class T>
  bool add(const T& value)
    requires std::is_trivially_copyable_v<T> && (!std::is_convertible_v<const T&, ByteView>)
  {
    return add(ByteView(reinterpret_cast<const uint8_t*>(&value), sizeof(T)));
  }

  // The next `length` bytes, to be filled in place; then say how many were.
  std::vector<MutableByteView> space(uint64_t length) const { return range_of(buffers_, size_, length); }
  void added(uint64_t length) { size_ += length; }

  // Drops what was added.
  void clear() { size_ = sizeof(fuse_out_header); }
  // Writes the header; returns the length of the whole answer, 0 when not even a header has room.
  uint32_t finish(uint64_t unique, int error);

 private:
  Buffers buffers_;
  uint64_t capacity_;
  uint64_t size_ = sizeof(fuse_out_header);
};

}  // namespace msb::fs
