// What QEMU answers to query-blockstats: an array of objects, one for each disk of the guest's, each with "stats".
#pragma once

#include <nlohmann/json.hpp>

#include "disk/disk_traffic.h"

namespace msb::qemu {

// All disks together. ErrorKind::protocol when the answer is not of that form.
Result<disk::DiskTraffic> parse_block_stats(const nlohmann::json& answer);

}  // namespace msb::qemu
