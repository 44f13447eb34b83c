#include "cli/copy_endpoint.h"

#include <microsandbox/sandbox.h>

namespace msb::cli {

Result<CopyEndpoint> CopyEndpoint::parse(std::string_view word) {
  CopyEndpoint endpoint;
  if (word.empty()) return fail(ErrorKind::invalid_config, "a path is empty");
  if (word == "-") {
    endpoint.kind = Kind::stream;
    return endpoint;
  }
  size_t colon = word.find(':');
  if (colon == std::string_view::npos || word.starts_with('.') || word.starts_with('/')) {
    endpoint.path = word;
    return endpoint;
  }
  endpoint.kind = Kind::guest;
  endpoint.sandbox = word.substr(0, colon);
  endpoint.path = word.substr(colon + 1);
  if (auto valid = validate_sandbox_name(endpoint.sandbox); !valid)
    return fail(std::move(valid).error().hint(cat("for a file of this host write ./", word)));
  if (endpoint.path.empty())
    return fail(Error(ErrorKind::invalid_config, cat("'", word, "' names no path"))
                    .hint(cat("write ", endpoint.sandbox, ":/path")));
  if (!endpoint.path.starts_with('/')) endpoint.path = "/" + endpoint.path;
  return endpoint;
}

}  // namespace msb::cli
