#include "image/digest.h"

#include <algorithm>

#include "base/sha256.h"

namespace msb::image {

Result<Digest> Digest::parse(std::string_view text) {
  constexpr std::string_view kPrefix = "sha256:";
  if (!text.starts_with(kPrefix)) {
    return fail(ErrorKind::invalid_config, cat("'", text.substr(0, 100), "' is not a sha256 digest"));
  }
  const std::string_view hex = text.substr(kPrefix.size());
  const bool all_hex =
      std::all_of(hex.begin(), hex.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (hex.size() != 64 || !all_hex) {
    return fail(ErrorKind::invalid_config,
                cat("'", text.substr(0, 100), "' is not a digest: sha256: is followed by 64 lower-case hex digits"));
  }
  return Digest(std::string(hex));
}

Digest Digest::of(ByteView bytes) {
  return Digest(sha256_hex(bytes));
}

}  // namespace msb::image
