// ConcatDisk: disks one after another, as one read-only disk (the layers of an image on a single /dev/vdX).
#pragma once

#include <vector>

#include "disk/block_device.h"

namespace msb::disk {

class ConcatDisk final : public BlockDevice {
 public:
  // Failure: invalid_config (no part; a part whose size is not a multiple of 512).
  static Result<std::unique_ptr<ConcatDisk>> create(std::vector<std::unique_ptr<BlockDevice>> parts);

  uint64_t size() const override { return starts_.back(); }
  bool read_only() const override { return true; }
  Result<> readv(uint64_t offset, Buffers out) override;
  bool read_now(uint64_t offset, Buffers out) override;

 private:
  explicit ConcatDisk(std::vector<std::unique_ptr<BlockDevice>> parts);
  size_t part_at(uint64_t offset) const;

  std::vector<std::unique_ptr<BlockDevice>> parts_;
  std::vector<uint64_t> starts_;  // of each part, and the end of the last
};

}  // namespace msb::disk
