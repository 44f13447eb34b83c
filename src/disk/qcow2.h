// Qcow2Disk: reads and writes a qcow2 image whose contents may be hostile.
//
// Writing: new clusters get their data at once; the tables that name them are changed in memory and go into the file
// with flush(), in an order that leaves the image sound whenever the power fails (qcow2_write.cc). After a flush that
// failed nothing is written any more. What was not flushed is flushed, as far as it works, on destruction.
//
// Memory is bounded by the first-level table (at most 32 MiB, and never more than the file holds), the reference count
// table (8 MiB), about 2 MiB of other tables (at least 4 clusters of each kind) and a few clusters.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "disk/block_device.h"
#include "disk/qcow2_header.h"
#include "disk/qcow2_refcounts.h"
#include "disk/qcow2_tables.h"

namespace msb::disk {

// Reads and judges the header and the first-level table, and whether the image can be written when it is to be. To be
// called before a user's image is given to a machine, which must then be told the format, and never to open a backing
// file. Needs no more than to read. Failures: corrupt, unsupported, io.
Result<Qcow2Header> inspect_qcow2(const std::string& path, Access access);
Result<Qcow2Header> inspect_qcow2(BlockDevice& file, Access access);

class Qcow2Disk final : public BlockDevice {
 public:
  // For writing, `file` must be writable, and the image without snapshots and properly closed
  // (check_qcow2_writable()).
  static Result<std::unique_ptr<Qcow2Disk>> open(const std::string& path, Access access = Access::read_only);
  static Result<std::unique_ptr<Qcow2Disk>> open(std::unique_ptr<BlockDevice> file, Access access = Access::read_only);
  ~Qcow2Disk() override;

  uint64_t size() const override { return header_.virtual_size; }
  bool read_only() const override { return refcounts_ == nullptr; }
  uint32_t granularity() const override { return static_cast<uint32_t>(header_.cluster_size()); }
  Result<> readv(uint64_t offset, Buffers out) override;
  Result<> writev(uint64_t offset, Buffers in) override;
  Result<> flush() override;
  Result<> discard(uint64_t offset, uint64_t length) override;
  Result<> write_zeroes(uint64_t offset, uint64_t length, Unmap unmap) override;
  const Qcow2Header& header() const { return header_; }

 private:
  // What a second-level entry says about a cluster.
  enum class Kind { absent, zero, plain, compressed };
  struct Slot {  // valid until the next one is asked for
    Qcow2Table* table;
    uint64_t index;
  };
  struct Packed {
    uint64_t offset;
    uint64_t length;
  };

  Qcow2Disk(std::unique_ptr<BlockDevice> file, Qcow2Header header, std::vector<uint64_t> l1)
      : file_(std::move(file)), header_(header), l1_(std::move(l1)), l2_(*file_, header.cluster_size()) {}
  Kind kind_of(uint64_t entry) const;
  Result<uint64_t> l2_entry(uint64_t cluster);
  Result<uint64_t> data_offset(uint64_t entry, uint64_t cluster) const;
  Result<> read_in_cluster(uint64_t cluster, uint64_t inside, Buffers out);
  Result<> read_plain(uint64_t at, Buffers out);
  Result<Packed> packed_place(uint64_t entry) const;
  Result<> load_compressed(uint64_t entry);

  Result<> write_in_cluster(uint64_t cluster, uint64_t inside, uint64_t length, Buffers in);
  Result<> write_new(Slot slot, uint64_t cluster, uint64_t inside, uint64_t length, Buffers in);
  Result<> zero_in_cluster(uint64_t cluster, uint64_t inside, uint64_t length, Unmap unmap);
  Result<> drop_clusters(uint64_t first, uint64_t end);
  Result<> begin_writing();
  Result<Slot> slot_for_write(uint64_t cluster);
  Result<uint64_t> new_l2_table(uint64_t old_entry);
  Result<> release_entry(uint64_t entry);
  Result<> commit();
  Result<> try_commit();

  std::unique_ptr<BlockDevice> file_;
  Qcow2Header header_;
  std::vector<uint64_t> l1_;  // entries, judged
  Qcow2Tables l2_;
  uint64_t unpacked_entry_ = 0;  // the compressed cluster in unpacked_; 0 = none yet
  Bytes unpacked_;

  // Only when writing.
  std::unique_ptr<Qcow2Refcounts> refcounts_;
  std::vector<uint64_t> new_l1_entries_;  // numbers of entries of l1_ that are not in the file yet
  bool begun_ = false;
  bool failed_ = false;
  std::vector<iovec> piece_, padded_;  // of one cluster; kept for their memory
};

}  // namespace msb::disk
