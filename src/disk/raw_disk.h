// RawDisk: a file or block special file, byte for byte.
//
// Its size is taken when it is opened; a file that shrinks later gives io errors. Reads and writes go straight between
// the caller's buffers and the host's page cache; flush() is fdatasync(). Long writes may go past that cache
// (disk/direct_io.h): who has a cache of its own, as a guest has, gains nothing from a second one, and pays for it.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/fd.h"
#include "disk/block_device.h"

namespace msb::disk {

class RawDisk final : public BlockDevice {
 public:
  struct Options {
    Access access = Access::read_only;
    bool scratch = false;  // nobody reads the file after this program's end: flush() does nothing
    Fd direct = {};        // what open_direct() gave for the file
  };

  // Failures: io, invalid_config (neither file nor block device; to be written, but not opened for that).
  static Result<std::unique_ptr<RawDisk>> open(const std::string& path, Access access = Access::read_only);
  static Result<std::unique_ptr<RawDisk>> adopt(Fd fd, Options options);

  uint64_t size() const override { return size_; }
  bool read_only() const override { return options_.access == Access::read_only; }
  uint32_t granularity() const override { return 4096; }
  Result<> readv(uint64_t offset, Buffers out) override;
  Result<> writev(uint64_t offset, Buffers in) override;
  // Once it has failed it always fails: the kernel reports lost writes only once.
  Result<> flush() override;
  Result<> discard(uint64_t offset, uint64_t length) override;
  Result<> write_zeroes(uint64_t offset, uint64_t length, Unmap unmap) override;
  Result<> grow(uint64_t size) override;
  bool read_now(uint64_t offset, Buffers out) override;

 private:
  RawDisk(Fd fd, uint64_t size, Options options) : fd_(std::move(fd)), size_(size), options_(std::move(options)) {}
  // False: this file system cannot.
  Result<bool> allocate(int mode, uint64_t offset, uint64_t length);

  Fd fd_;
  uint64_t size_;
  Options options_;
  bool lost_writes_ = false;
  bool can_punch_ = true;  // until the file system has said otherwise
  bool can_zero_ = true;
  std::atomic<bool> can_read_now_ = true;
};

}  // namespace msb::disk
