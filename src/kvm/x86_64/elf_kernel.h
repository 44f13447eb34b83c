// ElfKernel: an uncompressed vmlinux and where its parts go in guest memory.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "kvm/memory.h"

namespace msb::kvm {

struct ElfKernel {
  struct Segment {
    uint64_t file_offset = 0;
    uint64_t file_size = 0;  // the rest of `size` is zero
    uint64_t address = 0;    // guest physical
    uint64_t size = 0;
  };
  std::vector<Segment> segments;  // to be loaded
  uint64_t entry = 0;             // PVH entry, guest physical
  uint64_t end = 0;               // first address beyond all segments

  // Reads headers and notes. invalid_config: not an x86-64 ELF executable, damaged, or without PVH entry.
  static Result<ElfKernel> parse(int file);
  // Maps the segments' whole pages and copies the rest. invalid_config when one is not wholly in RAM from 1 MiB to
  // `limit`; corrupt when the file ends early.
  Result<> load(int file, GuestRam& ram, uint64_t limit) const;
};

// Makes guest memory from `address` on the same as `length` bytes of a file, by mapping where that is possible.
// Failures: corrupt (the file ends early), invalid_config (not RAM), io.
Result<> load_file(GuestRam& ram, uint64_t address, int file, uint64_t offset, uint64_t length);

}  // namespace msb::kvm
