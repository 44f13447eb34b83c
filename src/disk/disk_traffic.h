// DiskTraffic: how many bytes of disks a guest has read and written, since its machine was started. What it discards
// and what it has zeroed without sending zeros moves no bytes.
#pragma once

#include <cstdint>
#include <functional>

#include "base/result.h"

namespace msb::disk {

struct DiskTraffic {
  uint64_t read_bytes = 0;
  uint64_t written_bytes = 0;
};

// The answer of a machine that is asked for it, of all its disks together.
using TrafficReply = std::function<void(Result<DiskTraffic>)>;

}  // namespace msb::disk
