// Digest: a SHA-256 content address, "sha256:" and 64 lower-case hex digits. A value; always valid once parsed.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace msb::image {

class Digest {
 public:
  // Only sha256 is accepted (ErrorKind::invalid_config otherwise): nothing else is in use for images.
  static Result<Digest> parse(std::string_view text);
  static Digest of(ByteView bytes);
  // From the 64 hex digits that a hasher returned.
  static Digest from_hex(std::string hex) { return Digest(std::move(hex)); }

  const std::string& hex() const { return hex_; }
  std::string str() const { return "sha256:" + hex_; }
  auto operator<=>(const Digest&) const = default;

 private:
  explicit Digest(std::string hex) : hex_(std::move(hex)) {}
  std::string hex_;
};

}  // namespace msb::image
