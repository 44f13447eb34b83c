// One operation on the guest's files, done where it may block: in a worker process (FileSession).
#pragma once

#include "base/bytes.h"
#include "wire/file_messages.h"

namespace msb::agent {

// The result of a request that makes no sense; nothing when it does.
std::optional<wire::FileResult> refuse_request(const wire::FileRequest& request);

// Reads `input` and writes `output` (pipes) as the operation wants, and returns the encoded core.fs.result. May block
// for as long as a file system does.
Bytes run_file_operation(const wire::FileRequest& request, int input, int output);

}  // namespace msb::agent
