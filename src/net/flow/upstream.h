// Upstream: the way to where a flow goes, once the policy has allowed it: a socket to the very address that was judged,
// or, where the host is behind a proxy, a connection through that.
//
//   if (!upstream.is_direct(remote.ip)) ...                     // a proxy carries TCP and nothing else
//   dial = upstream.dial(remote, [](Result<Fd> socket) { ... });
//
// The gateway's own addresses stand for this host's loopback, and no proxy is asked for those. One reactor thread.
#pragma once

#include <optional>

#include "net/flow/proxy_dial.h"

namespace msb::net {

// As denials of what a proxy cannot carry call it.
inline constexpr std::string_view kProxyRule = "upstream proxy";

class Upstream {
 public:
  // A proxy that is down is told of once in this time, not for each connection.
  static constexpr std::chrono::minutes kTroubleInterval{1};
  // What is wrong with the proxy, in words.
  using Trouble = std::function<void(const Error&)>;

  // `pins` outlives this.
  Upstream(Reactor& reactor, const PinTable& pins, std::vector<Ip> gateways, std::optional<UpstreamProxy> proxy,
           Trouble on_trouble)
      : reactor_(reactor),
        pins_(pins),
        gateways_(std::move(gateways)),
        proxy_(std::move(proxy)),
        on_trouble_(std::move(on_trouble)) {}

  bool is_direct(const Ip& remote) const;
  // `done` as Dial's. Errors mean what meaning_of() their errno says.
  std::unique_ptr<Attempt> dial(const Endpoint& remote, Dial::Done done);

 private:
  using Clock = std::chrono::steady_clock;
  void tell(const Error& trouble);

  Reactor& reactor_;
  const PinTable& pins_;
  std::vector<Ip> gateways_;
  std::optional<UpstreamProxy> proxy_;
  Trouble on_trouble_;
  std::optional<Clock::time_point> told_;
};

}  // namespace msb::net
