// PingSessions: the guest's echo requests, sent with the host's unprivileged ping sockets (icmp(7)), and their answers.
// A host that does not give us such sockets (net.ipv4.ping_group_range) is told of once, and the guest learns that it
// is prohibited. One reactor thread.
#pragma once

#include <list>
#include <memory>

#include "net/flow/tcp_egress.h"
#include "net/guest_stack.h"

namespace msb::net {

class PingSessions {
 public:
  static constexpr std::chrono::seconds kIdle{5};
  static constexpr size_t kMaximum = 64;

  static Result<std::unique_ptr<PingSessions>> create(FlowContext& context, std::function<GuestStack&()> stack);

  void handle(const PingRequest& request);

 private:
  using Clock = std::chrono::steady_clock;
  // The requests of one program of the guest's to one address. The host gives them an id of its own.
  struct Session {
    Ip remote;
    uint16_t id = 0;
    Fd socket;
    Clock::time_point used;
    Reactor::Watch watch;
  };

  PingSessions(FlowContext& context, std::function<GuestStack&()> stack)
      : context_(context), stack_(std::move(stack)) {}
  Result<Session*> session_of(const PingRequest& request);
  void answer(Session& session);
  void sweep();

  FlowContext& context_;
  std::function<GuestStack&()> stack_;
  std::list<Session> sessions_;  // the longest unused first
  std::unique_ptr<Timer> timer_;
};

}  // namespace msb::net
