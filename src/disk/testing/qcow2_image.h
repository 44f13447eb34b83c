// Images made and judged by qemu-img, for tests.
#pragma once

#include <gtest/gtest.h>

#include "base/child.h"
#include "base/temp_dir.h"
#include "disk/raw_disk.h"

namespace msb::disk::testing {

// `options` as of qemu-img create -o.
inline void create_image(const std::string& path, const std::string& options, uint64_t size) {
  auto made = run_capture({"qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, std::to_string(size)});
  ASSERT_TRUE(made) << made.error().to_string();
}

// A disk whose flushes do not wait for the hardware.
class NoSyncDisk final : public BlockDevice {
 public:
  explicit NoSyncDisk(std::unique_ptr<BlockDevice> disk) : disk_(std::move(disk)) {}
  uint64_t size() const override { return disk_->size(); }
  bool read_only() const override { return disk_->read_only(); }
  Result<> readv(uint64_t offset, Buffers out) override { return disk_->readv(offset, out); }
  Result<> writev(uint64_t offset, Buffers in) override { return disk_->writev(offset, in); }
  Result<> discard(uint64_t offset, uint64_t length) override { return disk_->discard(offset, length); }
  Result<> grow(uint64_t size) override { return disk_->grow(size); }

 private:
  std::unique_ptr<BlockDevice> disk_;
};

// What qemu-img check found.
enum class Verdict { sound, leaks, corrupt };
inline Verdict check_image(const std::string& path) {
  auto ran = run_capture({"sh", "-c", "qemu-img check -q -f qcow2 \"$1\" >/dev/null 2>&1; echo $?", "sh", path});
  EXPECT_TRUE(ran) << ran.error().to_string();
  if (!ran) return Verdict::corrupt;
  std::string code = ran->substr(0, ran->find('\n'));
  return code == "0" ? Verdict::sound : code == "3" ? Verdict::leaks : Verdict::corrupt;
}

// The contents as QEMU reads them.
inline Bytes qemu_reads(const std::string& path, const std::string& scratch) {
  auto ran = run_capture({"qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, scratch});
  EXPECT_TRUE(ran) << ran.error().to_string();
  auto raw = RawDisk::open(scratch);
  EXPECT_TRUE(raw);
  if (!raw) return {};
  Bytes bytes((*raw)->size());
  EXPECT_TRUE((*raw)->read(0, bytes));
  return bytes;
}

}  // namespace msb::disk::testing
