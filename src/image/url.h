// Url: an absolute http or https address, just enough of one to follow redirects safely.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace msb::image {

struct Url {
  std::string scheme;     // "http" or "https"
  std::string authority;  // "host", "host:port"; never user:password
  std::string target;     // path and query, at least "/"

  // ErrorKind::protocol for other schemes, embedded credentials, control characters or a missing host.
  static Result<Url> parse(std::string_view text);
  // A Location header's value, absolute or relative, seen from this address.
  Result<Url> resolve(std::string_view location) const;

  std::string str() const { return cat(scheme, "://", authority, target); }
  // Credentials may be shared between two addresses only if they have the same scheme, host and port.
  bool same_origin(const Url& other) const;
};

std::string percent_encode(std::string_view text);  // for a query's value

}  // namespace msb::image
