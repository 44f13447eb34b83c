#include "sandbox/filesystem_paths.h"

#include "sandbox/lifecycle.h"
#include "tree/tree_sink.h"

namespace msb {

Result<> check_no_nul(const std::string& path) {
  if (path.find('\0') == std::string::npos) return {};
  return fail(ErrorKind::invalid_config, cat("the path '", tree::printable_path(path), "' contains a NUL byte"));
}

Result<> check_guest_path(const std::string& path) {
  MSB_CHECK(check_no_nul(path));
  if (path.size() > tree::kMaxPath)
    return fail(ErrorKind::invalid_config, cat("a path has ", path.size(), " bytes; at most 4096 are possible"));
  if (!path.starts_with('/'))
    return fail(
        Error(ErrorKind::invalid_config, cat("the guest path '", tree::printable_path(path), "' is not absolute"))
            .hint("begin it with '/'"));
  return {};
}

Result<wire::FileRequest> file_request(wire::FileOperation operation, const std::string& path) {
  MSB_CHECK(check_guest_path(path));
  wire::FileRequest request;
  request.operation = operation;
  request.path = to_bytes(path);
  return request;
}

Result<FileStream> start_file_operation(const std::string& sandbox, const wire::FileRequest& request) {
  MSB_TRY(auto connection, open_agent(sandbox));
  return FileStream::start(sandbox, std::move(connection), request);
}

}  // namespace msb
