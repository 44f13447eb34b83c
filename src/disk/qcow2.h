// Qcow2Disk: reads a qcow2 image whose contents may be hostile. Memory is bounded by the first-level table (at most 32
// MiB, and never more than the file holds), one second-level table and one cluster.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "disk/block_device.h"
#include "disk/qcow2_header.h"

namespace msb::disk {

// Reads and judges the header and the first-level table. To be called before a user's image is given to QEMU, which
// must then be told the format, and never to open a backing file. Failures: corrupt, unsupported, io.
Result<Qcow2Header> inspect_qcow2(const std::string& path);
Result<Qcow2Header> inspect_qcow2(BlockDevice& file);

class Qcow2Disk final : public BlockDevice {
 public:
  static Result<std::unique_ptr<Qcow2Disk>> open(const std::string& path);
  static Result<std::unique_ptr<Qcow2Disk>> open(std::unique_ptr<BlockDevice> file);

  uint64_t size() const override { return header_.virtual_size; }
  Result<> read(uint64_t offset, MutableByteView out) override;
  const Qcow2Header& header() const { return header_; }

 private:
  Qcow2Disk(std::unique_ptr<BlockDevice> file, Qcow2Header header, std::vector<uint64_t> l1)
      : file_(std::move(file)), header_(header), l1_(std::move(l1)) {}
  Result<uint64_t> l2_entry(uint64_t cluster);
  Result<> read_in_cluster(uint64_t cluster, uint64_t inside, MutableByteView out);
  Result<> read_plain(uint64_t at, MutableByteView out);
  Result<> load_compressed(uint64_t entry);

  std::unique_ptr<BlockDevice> file_;
  Qcow2Header header_;
  std::vector<uint64_t> l1_;
  uint64_t l2_offset_ = 0;  // of the table in l2_; 0 = none yet
  Bytes l2_;
  uint64_t unpacked_entry_ = 0;  // the compressed cluster in unpacked_; 0 = none yet
  Bytes unpacked_;
};

}  // namespace msb::disk
