// Reference: the name of an image as people write it, made canonical.
//
//   python                       docker.io/library/python:latest
//   me/app:1.2                   docker.io/me/app:1.2
//   127.0.0.1:5000/x@sha256:…    127.0.0.1:5000/x@sha256:…
//
// A tag and a digest may both be given: the digest decides, the tag is kept for display.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "image/digest.h"

namespace msb::image {

class Reference {
 public:
  // ErrorKind::invalid_config, with a hint where the mistake is a usual one (capitals, a URL, a bare digest).
  static Result<Reference> parse(std::string_view text);

  const std::string& registry() const { return registry_; }      // "docker.io", "127.0.0.1:5000", "[::1]:5000"
  const std::string& repository() const { return repository_; }  // "library/python"
  const std::string& tag() const { return tag_; }                // empty when only a digest was given
  const std::optional<Digest>& digest() const { return digest_; }

  // What to ask the registry for: the digest when there is one, else the tag.
  std::string target() const { return digest_ ? digest_->str() : tag_; }
  std::string str() const;   // canonical
  std::string name() const;  // registry/repository
  // As people write it: without docker.io/ and library/.
  std::string familiar() const;
  Reference with_digest(Digest digest) const;

  bool operator==(const Reference&) const = default;

 private:
  Reference() = default;
  std::string suffix() const;
  std::string registry_;
  std::string repository_;
  std::string tag_;
  std::optional<Digest> digest_;
};

// "host", "host:port", "[v6]:port"; what may stand before the first '/' of a reference.
bool is_registry_host(std::string_view text);
// 127.0.0.0/8, ::1 and localhost, with or without a port: plain HTTP is fine there, nobody listens in between.
bool is_loopback_host(std::string_view host);

}  // namespace msb::image
