// What every operation on a guest's files begins with: a path that can be one, and a session with the agent.
#pragma once

#include "sandbox/file_stream.h"

namespace msb {

// ErrorKind::invalid_config: not absolute, longer than 4096 bytes, or with a NUL byte.
Result<> check_guest_path(const std::string& path);
Result<> check_no_nul(const std::string& path);

Result<wire::FileRequest> file_request(wire::FileOperation operation, const std::string& path);
Result<FileStream> start_file_operation(const std::string& sandbox, const wire::FileRequest& request);

}  // namespace msb
