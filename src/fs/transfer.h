// The data of a READ or WRITE: between the guest's memory and an open file, until everything is done, the end of the
// file or an error. What was done before an error counts.
//
// A file that the guest opened with O_DIRECT has a second descriptor, which goes past the host's cache. It is for what
// is large and aligned: that costs a copy less. What is small is faster through the cache, which needs no disk.
#pragma once

#include <vector>

#include "base/bytes.h"
#include "fs/handle_table.h"

namespace msb::fs {

// Returns an errno value; `done` is how many bytes were moved.
int read_data(const Handle& handle, const std::vector<MutableByteView>& into, uint64_t offset, uint64_t& done);

enum class Place { at_offset, at_end };  // at_end: where the host's file ends now
int write_data(const Handle& handle, const std::vector<MutableByteView>& from, uint64_t offset, Place place,
               uint64_t& done);

}  // namespace msb::fs
