// ProxyDial: a connection being made through a proxy: to the first of its addresses that answers, then the handshake,
// then it is the destination's. Of the host's bytes not one more is read than the handshake's: a server that speaks
// first is heard by whoever gets the socket.
#pragma once

#include <chrono>
#include <memory>

#include "net/flow/host_socket.h"
#include "net/flow/proxy_exceptions.h"
#include "net/flow/proxy_handshake.h"

namespace msb::net {

// A proxy as one machine uses it.
struct UpstreamProxy {
  state::ProxyUrl url;
  std::vector<Endpoint> addresses;
  ProxyExceptions exceptions = {};
};

class ProxyDial final : public Attempt {
 public:
  // From being connected to the proxy until it has connected further; as long as a Dial of its own would take.
  static constexpr std::chrono::seconds kPatience{60};

  // The error has an errno if it is the destination's, none if the proxy is to blame.
  static std::unique_ptr<ProxyDial> start(Reactor& reactor, const UpstreamProxy& proxy, const Endpoint& destination,
                                          Dial::Done done);

 private:
  ProxyDial(Reactor& reactor, const UpstreamProxy& proxy, const Endpoint& destination, Dial::Done done)
      : reactor_(reactor),
        name_(proxy.url.shown()),
        handshake_(ProxyHandshake::create(proxy.url, destination)),
        done_(std::move(done)) {}
  void connected(Result<Fd> socket);
  Result<> begin(Fd socket);
  void on_event();
  Result<> converse();
  Result<> hear();
  Result<> say();
  void finish(Result<Fd> outcome);

  Reactor& reactor_;
  std::string name_;
  std::unique_ptr<ProxyHandshake> handshake_;
  Dial::Done done_;
  std::unique_ptr<Dial> dial_;
  Fd socket_;
  Bytes unsent_;
  std::unique_ptr<Timer> deadline_;
  Reactor::Watch watch_;
};

}  // namespace msb::net
