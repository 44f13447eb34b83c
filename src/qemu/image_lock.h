// QEMU's own lock of a disk's file: as long as a QEMU has it open for writing, no other may.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"

namespace msb::qemu {

// Returns when no QEMU has the file open: one that was killed keeps it until it is back from the sync it was in. Waits
// for as long as it takes; `on_wait` is called if it has to.
Result<> wait_for_release(const std::string& path, const std::function<void()>& on_wait);

}  // namespace msb::qemu
