// IoBus: which device answers at an address of the guest. A machine has two, one of ports and one of memory.
//
// Filled before the guest runs and constant afterwards, so that all vCPU threads use it without a lock; a device locks
// itself. Where nobody answers, and where an access is not wholly inside one device, reads give all ones and writes
// vanish, as on a real bus: the guest is free to try.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace msb::kvm {

class IoBus {
 public:
  // Called with the offset in the device's range and 1 to 8 bytes, little-endian.
  struct Handler {
    std::function<void(uint64_t offset, MutableByteView out)> read;
    std::function<void(uint64_t offset, ByteView bytes)> write;
  };

  // invalid_config when the range is empty, wraps or overlaps another.
  Result<> add(uint64_t start, uint64_t size, Handler handler);

  void read(uint64_t address, MutableByteView out) const;
  void write(uint64_t address, ByteView bytes) const;

 private:
  struct Range {
    uint64_t start;
    uint64_t size;
    Handler handler;
  };
  const Range* find(uint64_t address, size_t length) const;
  std::vector<Range> ranges_;  // sorted
};

}  // namespace msb::kvm
