// Sockets of the host, as the flows use them: never blocking, and what their errors mean for the guest.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/fd.h"
#include "base/reactor.h"
#include "net/address.h"
#include "net/tcp/tcp_engine.h"

namespace msb::net {

// What a guest is told of a connection that could not be made; nullopt: that it was refused.
std::optional<Unreachable> meaning_of(int errnum);

// A UDP socket that talks to `remote` only.
Result<Fd> open_udp(const Endpoint& remote);

// Closes with a reset instead of an orderly end.
void abort_socket(Fd socket);

// Where a connection of the guest's to `remote` goes on the host: to itself, but the gateway's address stands for the
// host's loopback, of either family.
std::vector<Endpoint> dial_targets(const Endpoint& remote, const std::vector<Ip>& gateways);

// A connection being made. Destroying it gives up.
class Attempt {
 public:
  virtual ~Attempt() = default;
};

// A connection being made: the candidates one after the other, until one answers. The host's own patience
// (tcp_syn_retries, bounded here) is the deadline.
class Dial final : public Attempt {
 public:
  // The connected socket, or the last candidate's error. Called once, never from start(); may destroy the Dial.
  using Done = std::function<void(Result<Fd>)>;

  static std::unique_ptr<Dial> start(Reactor& reactor, std::vector<Endpoint> candidates, Done done);

 private:
  Dial(Reactor& reactor, std::vector<Endpoint> candidates, Done done)
      : reactor_(reactor), candidates_(std::move(candidates)), done_(std::move(done)) {}
  void next();
  Result<> connect(const Endpoint& remote);
  void on_event();
  void finish(Result<Fd> outcome);

  Reactor& reactor_;
  std::vector<Endpoint> candidates_;
  Done done_;
  size_t tried_ = 0;
  Fd socket_;
  Fd later_;  // an eventfd that is readable: to fail from the reactor, not from start()
  std::optional<Error> error_;
  Reactor::Watch watch_;
};

}  // namespace msb::net
