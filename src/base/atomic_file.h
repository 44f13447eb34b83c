// Files written piece by piece, perhaps for minutes, that are there when they are whole. fd.h has write_file_atomic()
// for small ones.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "base/result.h"

namespace msb {

enum class Sync { no, yes };  // yes: it is on the disk before it has its name

// Written beside the target, to the descriptor that `fill` gets, then renamed over it: a reader sees the old or the new
// file, and of a failure nothing stays.
Result<> write_file_then_rename(const std::string& path, mode_t mode, Sync sync,
                                const std::function<Result<>(int fd)>& fill);

}  // namespace msb
