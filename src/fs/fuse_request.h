// FuseRequest: one request of the guest (include/uapi/linux/fuse.h), copied out of its memory before it is judged.
//
// The layout is header, fixed arguments, then names or data. Everything but the data of a WRITE is copied whole; a
// WRITE's data stays where it is and goes to the file from there (data()).
//
//   FuseRequest request;
//   if (int error = request.parse(buffers)) ...   // not even a header: there is nobody to answer
//   auto in = request.take<fuse_open_in>();       // nullopt: too short
//   auto name = request.take_name();              // nullopt: no terminator, or no name of a directory entry
#pragma once

#include <linux/fuse.h>

#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "base/bytes.h"

namespace msb::fs {

// The longest request without data: a SETXATTR (64 KiB of value, 255 of name), with room.
inline constexpr size_t kMaxArguments = 80 * 1024;
// The most data of one READ or WRITE.
inline constexpr uint32_t kMaxData = 1024 * 1024;

// The buffers of a request or of its answer: in the guest's memory, so their contents can change at any time.
using Buffers = std::span<const MutableByteView>;
uint64_t size_of(Buffers buffers);
// The part [offset, offset + length) of them; shorter at the end.
std::vector<MutableByteView> range_of(Buffers buffers, uint64_t offset, uint64_t length);

class FuseRequest {
 public:
  // EINVAL when it is too short for a header or longer than anything we know.
  int parse(Buffers buffers);

  const fuse_in_header& header() const { return header_; }

  template <class T>
  std::optional<T> take() {
    static_assert(std::is_trivially_copyable_v<T>);
    if (arguments_.size() - position_ < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, arguments_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }
  // A string with its terminator.
  std::optional<std::string> take_string();
  // The same, as one component of a path: not empty, not "." or "..", no '/'. How long it may be the
  // host's file system knows.
  std::optional<std::string> take_name();
  // `count` bytes.
  std::optional<ByteView> take_bytes(size_t count);

  // What follows the arguments taken so far, in place: at most `length` bytes.
  std::vector<MutableByteView> data(uint32_t length) const;

 private:
  Buffers buffers_;
  fuse_in_header header_{};
  Bytes arguments_;
  size_t position_ = 0;
};

}  // namespace msb::fs
