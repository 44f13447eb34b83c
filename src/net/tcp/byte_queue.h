// ByteQueue: bytes in order, in chunks that come from a pool and go back as soon as they are empty: an idle connection
// holds none. Filled in place (room, commit) or by copying (append); read in place (front, slice).
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "base/bytes.h"

namespace msb::net {

// A chunk fills one frame: what one recv() brings goes out with one write.
struct Chunk {
  static constexpr size_t kSize = 65280;
  uint8_t bytes[kSize];
};

// Keeps a few empty chunks, so that a busy connection does not go to the allocator for each.
class ChunkPool {
 public:
  std::unique_ptr<Chunk> take();
  void give_back(std::unique_ptr<Chunk> chunk);

 private:
  static constexpr size_t kMostKept = 16;
  std::vector<std::unique_ptr<Chunk>> free_;
};

class ByteQueue {
 public:
  explicit ByteQueue(ChunkPool& pool) : pool_(pool) {}
  ~ByteQueue() { drop(size_); }
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Where the next bytes go, contiguous; empty when the limit leaves no room for a worthwhile number of them. Valid
  // until anything else is called; commit(0) says that nothing came.
  MutableByteView room(size_t limit);
  void commit(size_t bytes);
  void append(ByteView bytes);

  // The first bytes, as many as are contiguous.
  ByteView front() const;
  // From `offset` on at most `count` bytes, as many as lie in two pieces.
  std::array<ByteView, 2> slice(size_t offset, size_t count) const;
  void drop(size_t count);

 private:
  // Less is not worth a frame of its own.
  static constexpr size_t kLeastRoom = 2048;
  struct Part {
    std::unique_ptr<Chunk> chunk;
    size_t begin = 0;
    size_t end = 0;
    ByteView bytes() const { return {chunk->bytes + begin, end - begin}; }
  };
  MutableByteView tail_room(size_t least);
  void release_front();

  ChunkPool& pool_;
  size_t size_ = 0;
  std::vector<Part> parts_;  // a handful
};

}  // namespace msb::net
