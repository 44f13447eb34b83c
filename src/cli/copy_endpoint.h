// CopyEndpoint: one side of `msb copy`, from its word on the command line.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace msb::cli {

struct CopyEndpoint {
  enum class Kind { host, guest, stream };
  Kind kind = Kind::host;
  std::string sandbox;  // of a guest
  std::string path;     // of a host or guest

  // "NAME:/path" is a guest's (a relative path begins at its root), "-" a stream, everything else the host's. What
  // begins with "." or "/" is always the host's, for names with colons. ErrorKind::invalid_config.
  static Result<CopyEndpoint> parse(std::string_view word);
};

}  // namespace msb::cli
