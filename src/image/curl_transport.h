// CurlTransport: HTTP over libcurl, which is loaded on first use: linking it would cost every start of msb 5 ms
// (33 libraries; measured). Connections are kept and reused. Proxies come from the usual environment variables.
#pragma once

#include <chrono>
#include <memory>

#include "image/transport.h"

namespace msb::image {

struct TransportLimits {
  std::chrono::seconds connect{30};
  std::chrono::seconds stall{30};  // no byte for so long ends a transfer; it is then resumed
};

class CurlTransport final : public RegistryTransport {
 public:
  // ErrorKind::unsupported when there is no libcurl on this machine; the hint names the package.
  static Result<std::unique_ptr<CurlTransport>> create(const TransportLimits& limits = {});
  ~CurlTransport() override;

  Result<> perform(const HttpRequest& request, const HttpSink& sink, const Cancellation& cancellation) override;

 private:
  class Session;
  struct State;
  explicit CurlTransport(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace msb::image
