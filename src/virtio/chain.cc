#include "virtio/chain.h"

#include <algorithm>
#include <limits>

namespace msb::virtio {
namespace {

// Calls `use` with each piece of [offset, offset + length) of the buffers, in order.
void each_piece(std::span<const MutableByteView> views, uint64_t offset, uint64_t length, auto&& use) {
  for (MutableByteView view : views) {
    if (length == 0) return;
    if (offset >= view.size()) {
      offset -= view.size();
      continue;
    }
    const size_t count = static_cast<size_t>(std::min<uint64_t>(view.size() - offset, length));
    use(view.subspan(static_cast<size_t>(offset), count));
    offset = 0;
    length -= count;
  }
}

std::vector<MutableByteView> range(std::span<const MutableByteView> views, uint64_t offset, uint64_t length) {
  std::vector<MutableByteView> pieces;
  pieces.reserve(views.size());
  each_piece(views, offset, length, [&](MutableByteView piece) { pieces.push_back(piece); });
  return pieces;
}

}  // namespace

void Chain::append(MutableByteView view) {
  if (count_ < kFew) {
    few_[count_++] = view;
    return;
  }
  if (many_.empty()) {
    many_.reserve(4 * kFew);
    many_.assign(few_.begin(), few_.end());
  }
  many_.push_back(view);
  ++count_;
}

size_t Chain::read(uint64_t offset, MutableByteView out) const {
  size_t done = 0;
  each_piece(readable(), offset, out.size(), [&](ByteView piece) {
    std::memcpy(out.data() + done, piece.data(), piece.size());
    done += piece.size();
  });
  return done;
}

uint32_t Chain::write(uint64_t offset, ByteView bytes) const {
  uint32_t done = 0;  // a chain is at most 2^32 - 1 bytes long
  each_piece(writable(), offset, bytes.size(), [&](MutableByteView piece) {
    std::memcpy(piece.data(), bytes.data() + done, piece.size());
    done += static_cast<uint32_t>(piece.size());
  });
  return done;
}

std::vector<MutableByteView> Chain::readable_range(uint64_t offset, uint64_t length) const {
  return range(readable(), offset, length);
}

std::vector<MutableByteView> Chain::writable_range(uint64_t offset, uint64_t length) const {
  return range(writable(), offset, length);
}

}  // namespace msb::virtio
