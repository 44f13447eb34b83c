#include "net/tcp/byte_queue.h"

#include <algorithm>

namespace msb::net {

std::unique_ptr<Chunk> ChunkPool::take() {
  if (free_.empty()) return std::make_unique_for_overwrite<Chunk>();
  auto chunk = std::move(free_.back());
  free_.pop_back();
  return chunk;
}

void ChunkPool::give_back(std::unique_ptr<Chunk> chunk) {
  if (free_.size() < kMostKept) free_.push_back(std::move(chunk));
}

MutableByteView ByteQueue::tail_room(size_t least) {
  if (parts_.empty() || Chunk::kSize - parts_.back().end < least) parts_.push_back({.chunk = pool_.take()});
  Part& tail = parts_.back();
  return {tail.chunk->bytes + tail.end, Chunk::kSize - tail.end};
}

MutableByteView ByteQueue::room(size_t limit) {
  const size_t left = limit > size_ ? limit - size_ : 0;
  if (left < std::min(kLeastRoom, limit)) return {};
  const MutableByteView room = tail_room(kLeastRoom);
  return room.first(std::min(room.size(), left));
}

void ByteQueue::commit(size_t bytes) {
  if (parts_.empty()) return;
  parts_.back().end += bytes;
  size_ += bytes;
  // Room that was looked at and not used.
  if (size_ == 0) release_front();
}

void ByteQueue::append(ByteView bytes) {
  while (!bytes.empty()) {
    const MutableByteView room = tail_room(1);
    const size_t count = std::min(room.size(), bytes.size());
    std::ranges::copy(bytes.first(count), room.begin());
    commit(count);
    bytes = bytes.subspan(count);
  }
}

ByteView ByteQueue::front() const {
  return empty() ? ByteView() : parts_.front().bytes();
}

std::array<ByteView, 2> ByteQueue::slice(size_t offset, size_t count) const {
  std::array<ByteView, 2> pieces;
  auto piece = pieces.begin();
  for (const Part& part : parts_) {
    const ByteView bytes = part.bytes();
    if (offset >= bytes.size()) {
      offset -= bytes.size();
      continue;
    }
    *piece = bytes.subspan(offset, std::min(count, bytes.size() - offset));
    count -= piece->size();
    offset = 0;
    if (count == 0 || ++piece == pieces.end()) break;
  }
  return pieces;
}

void ByteQueue::drop(size_t count) {
  size_ -= count;
  while (!parts_.empty()) {
    Part& part = parts_.front();
    const size_t here = std::min(count, part.end - part.begin);
    part.begin += here;
    count -= here;
    if (part.begin != part.end) return;
    // The tail of a queue with nothing in it goes, too.
    release_front();
  }
}

void ByteQueue::release_front() {
  pool_.give_back(std::move(parts_.front().chunk));
  parts_.erase(parts_.begin());
}

}  // namespace msb::net
