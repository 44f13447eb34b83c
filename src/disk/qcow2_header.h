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
  Qcow2Compression compression = Qcow2Compression::zlib;

  uint64_t cluster_size() const { return uint64_t{1} << cluster_bits; }
  uint64_t l2_entries() const { return cluster_size() / 8; }
};

inline constexpr size_t kQcow2HeaderBytes = 4096;  // enough for every field and extension we look at

// `start` is the beginning of the file (all of it when the file is shorter than kQcow2HeaderBytes).
// Failures: corrupt, unsupported.
Result<Qcow2Header> parse_qcow2_header(ByteView start, uint64_t file_size);

}  // namespace msb::disk
