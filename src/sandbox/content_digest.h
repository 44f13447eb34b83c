// A digest of a disk's contents that costs what the disk holds, not what it could: holes are not read.
//
// The SHA-256 of the SHA-256 digests of all 64 KiB blocks, one after another; the last block is filled up with zeros. A
// block that is a hole has the digest of zeros: a file and its sparse copy have the same digest.
#pragma once

#include <string>

#include "base/result.h"

namespace msb {

inline constexpr size_t kDigestBlock = size_t{64} << 10;

// "sha256:<64 hex>" of an open file. Failures: io.
Result<std::string> content_digest(int file);

}  // namespace msb
