// How large an ext4 file system says it is. A disk file that was cut short (a copy that broke off) is told from a whole
// one by it, before a guest's kernel says no more than "Invalid argument".
#pragma once

#include "disk/block_device.h"

namespace msb::disk {

// Refuses a disk that begins with an ext4, ext3 or ext2 file system larger than itself. What else is on it, or whether
// anything is, does not matter. Failures: corrupt, io.
Result<> check_ext4_size(BlockDevice& disk);

}  // namespace msb::disk
