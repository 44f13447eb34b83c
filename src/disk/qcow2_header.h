// The header of a qcow2 image (QEMU's docs/interop/qcow2.txt), judged before anything trusts it.
//
// What is refused, and why: a backing file or an external data file makes whoever opens the image open another
// file of the image author's choice; encryption, extended L2 entries and unknown incompatible features cannot be read
// here.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"

namespace msb::disk {

enum class Qcow2Compression { zlib, zstd };

struct Qcow2Header {
  uint32_t version = 0;       // 2 or 3
  uint32_t cluster_bits = 0;  // 9..21: clusters of 512 bytes to 2 MiB
  uint64_t virtual_size = 0;  // bytes the guest sees
  uint64_t l1_table_offset = 0;
  uint32_t l1_entries = 0;  // as many as virtual_size needs, at most
  // What matters only to those who write; not judged but by check_qcow2_writable().
  uint64_t refcount_table_offset = 0;
  uint32_t refcount_table_clusters = 0;
  uint32_t refcount_order = 4;  // log2 of the bits of a reference count
  uint32_t snapshots = 0;
  uint64_t incompatible_features = 0;
  uint64_t autoclear_features = 0;
  Qcow2Compression compression = Qcow2Compression::zlib;

  uint64_t cluster_size() const { return uint64_t{1} << cluster_bits; }
  uint64_t l2_entries() const { return cluster_size() / 8; }
};

inline constexpr size_t kQcow2HeaderBytes = 4096;  // enough for every field and extension we look at

// `start` is the beginning of the file (all of it when the file is shorter than kQcow2HeaderBytes).
// Failures: corrupt, unsupported.
Result<Qcow2Header> parse_qcow2_header(ByteView start, uint64_t file_size);

// Whether the image can be written: its reference counts are right and described soundly, and it has no snapshots.
// Failures: corrupt, unsupported.
Result<> check_qcow2_writable(const Qcow2Header& header, uint64_t file_size);

// Entries of the first- and second-level tables.
inline constexpr uint64_t kQcow2OffsetMask = 0x00fffffffffffe00;  // bits 9 to 55
inline constexpr uint64_t kQcow2Owned = uint64_t{1} << 63;        // what it names has a reference count of exactly 1
inline constexpr uint64_t kQcow2Compressed = uint64_t{1} << 62;
inline constexpr uint64_t kQcow2ReadsAsZero = 1;  // version 3 only; reserved before

// Where fields that change lie in the file.
inline constexpr uint64_t kQcow2RefcountTableField = 48;  // offset (64 bits) and clusters (32 bits)
inline constexpr uint64_t kQcow2AutoclearField = 88;
// 8 MiB of table, which is QEMU's limit too.
inline constexpr uint64_t kQcow2MaxRefcountTable = uint64_t{8} << 20;

}  // namespace msb::disk
