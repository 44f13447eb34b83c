// Qcow2Refcounts: which clusters of a qcow2 image are in use. Gives out free ones and takes back those that are no
// longer wanted, such that a power loss at any moment leaves at worst clusters that nobody uses but are counted (a
// leak), never one that is used but counted as free:
//
//   a count that went up is in the file (write()) before anything that refers to the cluster is;
//   a count goes down, and its cluster can be given out again, only once nothing in the file refers to it (settle()).
//
// Counts are hostile: they may say anything. Nothing here can be made to hand out the header or a table.
#pragma once

#include <vector>

#include "disk/qcow2_header.h"
#include "disk/qcow2_tables.h"

namespace msb::disk {

class Qcow2Refcounts {
 public:
  struct Cluster {
    uint64_t offset;
    bool zeros;  // its bytes in the file are zeros
  };

  // `file` and `header` must outlive it; `header` is changed when the table moves. The first-level table is `l1`: the
  // clusters it names are never given out. Failures: corrupt, io.
  static Result<std::unique_ptr<Qcow2Refcounts>> open(BlockDevice& file, Qcow2Header& header,
                                                      const std::vector<uint64_t>& l1);

  // A cluster nobody uses, counted as used now. Failures: io (the file cannot grow), corrupt.
  Result<Cluster> allocate();
  // Takes back what allocate() just gave, to which nothing refers yet.
  void give_back(uint64_t offset);
  // One reference less to the clusters in [offset, offset + length); takes effect with settle().
  void release(uint64_t offset, uint64_t length);

  // Refuses a place for data in the header or one of the two tables of the first level.
  Result<> check_data(uint64_t offset) const;

  // Writes the counts; flushes before the table names new blocks of them. The caller flushes afterwards.
  Result<> write();
  // To be called when the flush after everything was written is done.
  void settle();
  bool crowded() const { return blocks_.crowded() || released_.size() > kMaxReleased; }

 private:
  static constexpr size_t kMaxReleased = 65536;

  Qcow2Refcounts(BlockDevice& file, Qcow2Header& header, const std::vector<uint64_t>& l1);
  uint64_t per_block() const { return header_.cluster_size() * 8 >> header_.refcount_order; }
  Result<Qcow2Table*> block(uint64_t number);  // nullptr: there is none, all its counts are 0
  uint64_t count_in(const Qcow2Table& block, uint64_t index) const;
  void set_count_in(Qcow2Table& block, uint64_t index, uint64_t count) const;
  Result<> check_unused(uint64_t offset) const;
  Result<Cluster> take(uint64_t cluster);  // its count is 0
  Result<> add_block(uint64_t cluster);
  Result<> move_table(uint64_t cluster);
  bool decrement(uint64_t cluster);  // true: nobody uses it now

  BlockDevice& file_;
  Qcow2Header& header_;
  const std::vector<uint64_t>& l1_;
  std::vector<uint64_t> table_;        // offsets of blocks; 0 = none
  std::vector<uint64_t> new_entries_;  // numbers of entries of table_ that are not in the file yet
  Qcow2Tables blocks_;
  uint64_t next_ = 0;               // no cluster before it is free
  uint64_t untouched_from_;         // clusters from here on were never written: they are zeros, or not there yet
  std::vector<uint64_t> released_;  // clusters, once for each reference
};

}  // namespace msb::disk
