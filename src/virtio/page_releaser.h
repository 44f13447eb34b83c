// PageReleaser: how the balloon gives guest pages back to the host. Implemented by whoever owns guest memory.
#pragma once

#include <cstdint>

#include "virtio/guest_memory.h"

namespace msb::virtio {

class PageReleaser {
 public:
  virtual ~PageReleaser() = default;
  // The guest no longer cares for the bytes [address, address + length): their host memory goes back to the system,
  // and they read as zeros when next touched, or as they did before the guest ever wrote there. Both numbers are
  // multiples of 4096 and the range is RAM. Must not block for long. A failure is not the guest's: the pages just stay,
  // and the implementation may log it.
  virtual void release(GuestAddress address, uint64_t length) = 0;
};

}  // namespace msb::virtio
