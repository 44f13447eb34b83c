// RegistryClient: one registry host over the OCI distribution protocol: tokens, redirects, retries, resumed blobs.
//
// Thread-safe: a pull's layers come through one client on several threads. Failures are sentences with hints:
// ErrorKind::image_not_found (no such image or tag), image_pull_failed (everything about access and network),
// corrupt (bytes that do not match their digest), cancelled.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "image/challenge.h"
#include "image/credentials.h"
#include "image/manifest.h"
#include "image/reference.h"
#include "image/transport.h"

namespace msb::image {

struct RetryPolicy {
  int attempts = 5;                                 // in a row without progress
  std::chrono::milliseconds first_delay{300};       // doubled each time
  std::chrono::milliseconds longest_delay{30'000};  // also the most that Retry-After is honoured
};

struct Endpoint {
  std::string host;  // where to connect: a mirror's, or the registry's
  Trust trust = Trust::verified;
  std::vector<std::string> ca_files;
  std::optional<Credentials> credentials;
  RetryPolicy retry;
  std::string proxy = {};  // HttpRequest::proxy
};

struct FetchedManifest {
  std::string text;  // exactly as received: its digest is the image's identity
  Digest digest;
  std::string content_type;
};

class RegistryClient {
 public:
  using BodySink = std::function<Result<>(ByteView bytes)>;

  RegistryClient(RegistryTransport& transport, Endpoint endpoint, const Cancellation& cancellation);

  // `target` is a tag or a digest; a digest is verified.
  Result<FetchedManifest> manifest(const Reference& reference, const std::string& target);
  // A small blob (at most 4 MiB), verified.
  Result<std::string> blob_text(const Reference& reference, const Descriptor& blob);
  // Streams a blob of exactly `blob.size` bytes; after a broken transfer goes on at the byte where it stopped.
  // The sink's owner verifies the digest: it hashes anyway. An error of the sink ends it.
  Result<> blob(const Reference& reference, const Descriptor& blob, const BodySink& sink);

 private:
  struct Scheme {
    std::string name;
    TlsCheck tls;
  };
  struct Answer {
    HttpHead head;
    std::string error_body;  // of anything but success, cut at 64 KiB
  };
  struct Ask {
    std::string path;  // "/v2/..."
    std::vector<std::pair<std::string, std::string>> headers;
    std::string scope;
    std::function<Result<>(const HttpHead&)> head;  // of a success (2xx)
    BodySink body;
  };

  HttpRequest to(Url url, TlsCheck tls) const;
  Result<Scheme> scheme();
  Result<Answer> send(const Ask& ask);
  Result<Answer> exchange(HttpRequest request, const Ask& ask);
  Result<std::string> authorize(const Challenge& challenge, const std::string& scope);
  Result<std::string> fetch_token(const Challenge& challenge, const std::string& scope);
  // Runs `attempt` until it succeeds, fails for good, or has failed too often without `progress` moving.
  Result<> retry(const std::function<Result<>()>& attempt, const std::function<uint64_t()>& progress);
  Error status_error(const Answer& answer, const Reference& reference, std::string_view what);
  Error not_found(const Reference& reference);

  RegistryTransport& transport_;
  const Endpoint endpoint_;
  const Cancellation& cancellation_;
  std::mutex mutex_;
  std::optional<Scheme> scheme_;
  std::string authorization_;
};

}  // namespace msb::image
