// Copies a sparse file in time proportional to its data, not to its size.
#pragma once

#include "base/result.h"

namespace msb::disk {

// Makes `target` (empty, open for writing) a copy of `source`: by a reflink where the file system has
// them, else by copying only the ranges that hold data. Holes stay holes. The file offset of `source`
// is moved. Fails with the errno of the file system (a full disk is ENOSPC).
Result<> copy_sparse(int source, int target);

}  // namespace msb::disk
