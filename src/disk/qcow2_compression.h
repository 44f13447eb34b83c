// Unpacks one compressed cluster of a qcow2 image.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "disk/qcow2_header.h"

namespace msb::disk {

// Fills `cluster` whole; `packed` may have rubbish after the compressed data. Never writes beyond `cluster`, and the
// memory it uses does not depend on the data. Failure: corrupt.
Result<> unpack_qcow2_cluster(Qcow2Compression method, ByteView packed, MutableByteView cluster);

}  // namespace msb::disk
