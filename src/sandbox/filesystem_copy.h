// The host's half of a copy to the host: everything that the guest sends comes through here.
#pragma once

#include <microsandbox/filesystem.h>

#include "sandbox/copy_plan.h"
#include "sandbox/file_stream.h"
#include "tree/tree_sink.h"

namespace msb {

// Reads an `export` to its end into the sink.
Result<> receive_tree(FileStream& stream, tree::TreeSink& sink);

// Writes an `export` below the target. What the guest sends cannot leave it: see tree/tree_writer.h.
Result<CopyReport> receive_files(FileStream& stream, const CopyTarget& target);

}  // namespace msb
