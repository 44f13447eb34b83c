#include "disk/concat_disk.h"

#include <algorithm>

namespace msb::disk {

Result<std::unique_ptr<ConcatDisk>> ConcatDisk::create(std::vector<std::unique_ptr<BlockDevice>> parts) {
  if (parts.empty()) return fail(ErrorKind::invalid_config, "a disk of no parts");
  for (const auto& part : parts)
    if (part->size() % 512 != 0)
      return fail(ErrorKind::invalid_config,
                  cat("part of a disk has ", part->size(), " bytes, which is not a multiple of 512"));
  return std::unique_ptr<ConcatDisk>(new ConcatDisk(std::move(parts)));
}

ConcatDisk::ConcatDisk(std::vector<std::unique_ptr<BlockDevice>> parts) : parts_(std::move(parts)), starts_{0} {
  for (const auto& part : parts_) starts_.push_back(starts_.back() + part->size());
}

// Empty parts are never it. `offset` is inside the disk.
size_t ConcatDisk::part_at(uint64_t offset) const {
  return static_cast<size_t>(std::upper_bound(starts_.begin(), starts_.end(), offset) - starts_.begin()) - 1;
}

Result<> ConcatDisk::readv(uint64_t offset, Buffers out) {
  uint64_t length = total_bytes(out);
  MSB_CHECK(check_range("read", offset, length));
  if (length == 0) return {};
  size_t part = part_at(offset);
  if (length <= starts_[part + 1] - offset) return parts_[part]->readv(offset - starts_[part], out);
  BufferCursor cursor(out);
  std::vector<iovec> pieces;
  while (length > 0) {
    part = part_at(offset);
    uint64_t count = std::min(length, starts_[part + 1] - offset);
    pieces.clear();
    cursor.take(count, pieces);
    MSB_CHECK(parts_[part]->readv(offset - starts_[part], pieces));
    offset += count;
    length -= count;
  }
  return {};
}

bool ConcatDisk::read_now(uint64_t offset, Buffers out) {
  uint64_t length = total_bytes(out);
  if (length == 0 || !in_range(offset, length, size())) return false;
  size_t part = part_at(offset);
  return length <= starts_[part + 1] - offset && parts_[part]->read_now(offset - starts_[part], out);
}

}  // namespace msb::disk
