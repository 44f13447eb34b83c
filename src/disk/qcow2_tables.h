// Qcow2Tables: tables of a qcow2 image (second-level tables, or blocks of reference counts), each one cluster, held in
// memory. Changed ones stay here until write() has put them into the file; the order in which that happens is the
// business of the caller.
#pragma once

#include <unordered_map>

#include "disk/block_device.h"

namespace msb::disk {

struct Qcow2Table {
  Bytes bytes;
  bool dirty = false;
  uint64_t used = 0;

  uint64_t entry(uint64_t index) const { return load_be<uint64_t>(&bytes[index * 8]); }
  void set_entry(uint64_t index, uint64_t value) {
    store_be(&bytes[index * 8], value);
    dirty = true;
  }
};

class Qcow2Tables {
 public:
  Qcow2Tables(BlockDevice& file, uint64_t table_bytes);

  // The table at `offset`, which the caller has checked to be in the file. Valid until the next load() or create().
  Result<Qcow2Table*> load(uint64_t offset);
  // A new table of zeros, dirty.
  Qcow2Table& create(uint64_t offset);
  void forget(uint64_t offset) { tables_.erase(offset); }

  // Writes all dirty tables.
  Result<> write();
  bool dirty() const;
  // Whether it is time to write(), for want of memory.
  bool crowded() const;

 private:
  Qcow2Table& insert(uint64_t offset);

  BlockDevice& file_;
  uint64_t table_bytes_;
  size_t capacity_;  // of clean tables; dirty ones may exceed it
  uint64_t clock_ = 0;
  std::unordered_map<uint64_t, Qcow2Table> tables_;
};

}  // namespace msb::disk
