// UdpSessions: the guest's datagrams, and the host's answers to them. A session is a pair of ends; it has a connected
// socket of its own, so that only that peer can answer, and an ICMP error of the host's reaches the guest.
//
// A session with the gateway begins at the host's loopback of its family, and turns to the other's when nobody listens.
//
// A session is judged when it begins. It ends after kIdle without a datagram, or when there are kMaximum others that
// were used since. Multicast and broadcast are judged as any address; what is allowed goes out, nothing of it comes
// back. One reactor thread.
#pragma once

#include <list>
#include <memory>
#include <unordered_map>

#include "net/flow/tcp_egress.h"
#include "net/guest_stack.h"

namespace msb::net {

class UdpSessions {
 public:
  static constexpr std::chrono::seconds kIdle{60};
  static constexpr size_t kMaximum = 256;

  // `stack` is asked for when an answer comes.
  static Result<std::unique_ptr<UdpSessions>> create(FlowContext& context, std::function<GuestStack&()> stack);

  void handle(const UdpDatagram& datagram);

 private:
  using Clock = std::chrono::steady_clock;
  struct Ends {
    Endpoint guest;
    Endpoint remote;
    auto operator<=>(const Ends&) const = default;
  };
  struct Hash {
    size_t operator()(const Ends& ends) const {
      return std::hash<Endpoint>()(ends.guest) * 31 + std::hash<Endpoint>()(ends.remote);
    }
  };
  struct Session {
    Ends ends;
    Clock::time_point used;
    // Where it turns to when nobody listens where it began, and what it said there: both until an answer comes.
    std::optional<Endpoint> other = {};
    Bytes first = {};
    Fd socket = {};
    Reactor::Watch watch = {};
  };
  using Sessions = std::list<Session>;  // the longest unused first

  UdpSessions(FlowContext& context, std::function<GuestStack&()> stack) : context_(context), stack_(std::move(stack)) {}
  bool refused(const UdpDatagram& datagram);
  Result<Session*> open(const UdpDatagram& datagram);
  Result<> point(Session& session, const Endpoint& target);
  int send(Session& session, ByteView payload);
  bool turn_to_other(Session& session, ByteView payload);
  void answer(Session& session);
  void touch(Session& session);
  void forget(Sessions::iterator session);
  void sweep();
  void deny(const UdpDatagram& datagram, std::string rule);

  FlowContext& context_;
  std::function<GuestStack&()> stack_;
  Sessions sessions_;
  std::unordered_map<Ends, Sessions::iterator, Hash> by_ends_;
  std::unique_ptr<Timer> timer_;
};

}  // namespace msb::net
