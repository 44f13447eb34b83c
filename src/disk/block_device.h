// BlockDevice: something that is read and written like a disk. Formats are composed: a qcow2 disk reads another
// BlockDevice, usually a RawDisk over a file.
//
// What has been written is sure to survive a power loss only after a later flush() returned. Until then any part of it
// may be lost, each sector by itself. Sectors not written since are never touched by that.
//
// Not thread-safe, but for size(), read_only(), granularity() and read_now(): a device belongs to one thread.
#pragma once

#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "disk/buffers.h"

namespace msb::disk {

enum class Access { read_only, read_write };
// Whether zeros may be written by giving the space back.
enum class Unmap { no, yes };

class BlockDevice {
 public:
  virtual ~BlockDevice() = default;
  virtual uint64_t size() const = 0;  // bytes
  virtual bool read_only() const = 0;
  // What discard() can give back at least, in bytes: smaller pieces have no effect.
  virtual uint32_t granularity() const { return 512; }

  // Fills, or writes, all of the buffers or fails. Going past size() is invalid_config, as is writing to a read-only
  // device; damaged contents are corrupt; all else is io.
  virtual Result<> readv(uint64_t offset, Buffers out) = 0;
  virtual Result<> writev(uint64_t offset, Buffers in);
  virtual Result<> flush() { return {}; }
  // The contents of the range do not matter any more: its space may be given back. What is read there afterwards
  // is the old contents or zeros.
  virtual Result<> discard(uint64_t offset, uint64_t length);
  virtual Result<> write_zeroes(uint64_t offset, uint64_t length, Unmap unmap);
  // Makes the device bigger; the new part is zeros. Only for what formats are stored in.
  virtual Result<> grow(uint64_t size);

  // Fills all of the buffers if that takes no waiting for the host's disk. False: it would, or it failed; the buffers
  // may have been written to. Any thread.
  virtual bool read_now(uint64_t offset, Buffers out) {
    (void)offset;
    (void)out;
    return false;
  }

  Result<> read(uint64_t offset, MutableByteView out);
  Result<> write(uint64_t offset, ByteView bytes);

 protected:
  // For implementers: the errors of the contract above.
  Result<> check_range(std::string_view what, uint64_t offset, uint64_t length) const;
  Result<> check_writable(std::string_view what, uint64_t offset, uint64_t length) const;
};

// Whether [offset, offset + length) lies in a device of `size` bytes, without overflow.
inline bool in_range(uint64_t offset, uint64_t length, uint64_t size) {
  return offset <= size && length <= size - offset;
}

// A disk in memory, for tests and fuzzing. It does not grow beyond `limit` bytes.
class MemoryDisk final : public BlockDevice {
 public:
  explicit MemoryDisk(Bytes bytes, Access access = Access::read_only, uint64_t limit = uint64_t{1} << 30)
      : bytes_(std::move(bytes)), access_(access), limit_(limit) {}
  uint64_t size() const override { return bytes_.size(); }
  bool read_only() const override { return access_ == Access::read_only; }
  Result<> readv(uint64_t offset, Buffers out) override;
  Result<> writev(uint64_t offset, Buffers in) override;
  Result<> discard(uint64_t offset, uint64_t length) override;
  Result<> write_zeroes(uint64_t offset, uint64_t length, Unmap unmap) override;
  Result<> grow(uint64_t size) override;
  const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
  Access access_;
  uint64_t limit_;
};

}  // namespace msb::disk
