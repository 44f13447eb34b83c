// CRC-32C as EROFS uses it: starts at all ones, is not inverted at the end.
#pragma once

#include "base/bytes.h"

namespace msb::disk {

uint32_t erofs_crc32c(ByteView bytes);

}  // namespace msb::disk
