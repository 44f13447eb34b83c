// Copies a sparse file in time proportional to its data, not to its size.
#pragma once

#include "base/result.h"

namespace msb::disk {

// By a reflink where the file system has them; never so; or by nothing else, which is ErrorKind::unsupported where it
// has none.
enum class CloneBy { any, copy, reflink };

// Makes `target` (empty, open for writing) a copy of `source`: by a reflink, or by copying only the ranges that hold
// data. Holes stay holes. The file offset of `source` is moved. Fails with the errno of the file system (a full disk is
// ENOSPC).
Result<> copy_sparse(int source, int target, CloneBy by = CloneBy::any);

}  // namespace msb::disk
