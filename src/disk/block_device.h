// BlockDevice: something that is read like a disk. Formats are composed: a qcow2 disk reads another BlockDevice,
// usually a RawDisk over a file.
//
// Not thread-safe: a device belongs to one thread.
#pragma once

#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/result.h"

namespace msb::disk {

class BlockDevice {
 public:
  virtual ~BlockDevice() = default;
  virtual uint64_t size() const = 0;  // bytes
  // Fills all of `out` or fails. Reading past size() is invalid_config; damaged contents are corrupt.
  virtual Result<> read(uint64_t offset, MutableByteView out) = 0;
};

// Whether [offset, offset + length) lies in a device of `size` bytes, without overflow.
inline bool in_range(uint64_t offset, uint64_t length, uint64_t size) {
  return offset <= size && length <= size - offset;
}

// A file or block special file, byte for byte. Its size is taken when it is opened; a file that shrinks later
// gives read errors.
class RawDisk final : public BlockDevice {
 public:
  static Result<std::unique_ptr<RawDisk>> open(const std::string& path);
  static Result<std::unique_ptr<RawDisk>> adopt(Fd fd);

  uint64_t size() const override { return size_; }
  Result<> read(uint64_t offset, MutableByteView out) override;

 private:
  RawDisk(Fd fd, uint64_t size) : fd_(std::move(fd)), size_(size) {}
  Fd fd_;
  uint64_t size_;
};

// A disk in memory, for tests and fuzzing.
class MemoryDisk final : public BlockDevice {
 public:
  explicit MemoryDisk(Bytes bytes) : bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_.size(); }
  Result<> read(uint64_t offset, MutableByteView out) override;

 private:
  Bytes bytes_;
};

}  // namespace msb::disk
