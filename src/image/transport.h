// RegistryTransport: one HTTP exchange. The edge of the process: CurlTransport in the product, fakes in tests.
// It knows no registries: redirects, authorization, retries and status codes are RegistryClient's business.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "image/cancellation.h"
#include "image/url.h"

namespace msb::image {

enum class TlsCheck { verify, skip };

struct HttpRequest {
  Url url;
  std::string method = "GET";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  // for POST
  TlsCheck tls = TlsCheck::verify;
  std::vector<std::string> ca_files;  // PEM, trusted in addition to the system's
  std::string proxy = {};             // a ProxyUrl, or "none"; empty: as the environment says
};

struct HttpHead {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case; the last of equal ones

  std::string header(const std::string& name) const {
    const auto it = headers.find(name);
    return it == headers.end() ? std::string() : it->second;
  }
};

// Receives the answer on the thread of perform(). An error from it ends the transfer and is what perform() returns.
struct HttpSink {
  std::function<Result<>(const HttpHead& head)> head;
  std::function<Result<>(ByteView bytes)> body;
};

// Why no (complete) answer came; the error's kind is image_pull_failed.
struct TransportFailure : ErrorDetail {
  enum class Cause {
    unreachable,  // no such host, refused, no route: waiting a second will not help
    tls,          // certificate or handshake
    broken,       // reset, truncated, stalled: worth another try
  };
  explicit TransportFailure(Cause why) : cause(why) {}
  Cause cause;
};

class RegistryTransport {
 public:
  virtual ~RegistryTransport() = default;
  // Blocks. Thread-safe. ErrorKind::cancelled when `cancellation` ends it.
  virtual Result<> perform(const HttpRequest& request, const HttpSink& sink, const Cancellation& cancellation) = 0;
};

}  // namespace msb::image
