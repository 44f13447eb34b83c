#include "net/flow/udp_sessions.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>

namespace msb::net {
namespace {

constexpr uint16_t kDnsPort = 53;
// Datagrams of one turn.
constexpr int kTurn = 16;

// Names asked of somebody else than the gateway: DNS over QUIC, mDNS, LLMNR, NetBIOS.
constexpr uint16_t kOtherNames[] = {853, 5353, 5355, 137};

}  // namespace

Result<std::unique_ptr<UdpSessions>> UdpSessions::create(FlowContext& context, std::function<GuestStack&()> stack) {
  std::unique_ptr<UdpSessions> sessions(new UdpSessions(context, std::move(stack)));
  MSB_TRY(sessions->timer_, Timer::create(context.reactor, [self = sessions.get()] { self->sweep(); }));
  return sessions;
}

void UdpSessions::deny(const UdpDatagram& datagram, std::string rule) {
  context_.on_denial({.protocol = NetworkProtocol::udp, .remote = datagram.remote, .rule = std::move(rule)});
}

bool UdpSessions::refused(const UdpDatagram& datagram) {
  if (std::ranges::find(kOtherNames, datagram.remote.port) != std::end(kOtherNames)) {
    deny(datagram, "names are asked of the gateway, port 53");
    return true;
  }
  const Verdict verdict =
      context_.policy.egress({NetworkProtocol::udp, datagram.remote.ip, datagram.remote.port}, context_.pins);
  const bool allowed = verdict.kind == Verdict::Kind::allow;
  if (allowed && context_.upstream.is_direct(datagram.remote.ip)) return false;
  deny(datagram, allowed ? std::string(kProxyRule) : verdict.reason);
  return true;
}

void UdpSessions::handle(const UdpDatagram& datagram) {
  if (datagram.remote.port == kDnsPort) {
    context_.dns.ask({.protocol = NetworkProtocol::udp,
                      .guest = datagram.guest,
                      .aimed = datagram.remote,
                      .message = datagram.payload},
                     [this, guest = datagram.guest, aimed = datagram.remote](const Bytes& reply) {
                       stack_().send_udp(aimed, guest, reply);
                     });
    return;
  }
  const auto found = by_ends_.find({datagram.guest, datagram.remote});
  Session* session = found != by_ends_.end() ? &*found->second : nullptr;
  if (!session) {
    if (refused(datagram)) return;
    auto opened = open(datagram);
    if (!opened) {
      if (const auto why = meaning_of(opened.error().errnum())) stack_().send_unreachable(datagram, *why);
      return;
    }
    session = *opened;
  }
  touch(*session);
  // The peer's, of a datagram before this one; or of this one. Full buffers lose datagrams, as they do everywhere.
  const int error = send(*session, datagram.payload);
  if (error == ECONNREFUSED)
    stack_().send_unreachable(datagram, Unreachable::port);
  else if (const auto why = meaning_of(error))
    stack_().send_unreachable(datagram, *why);
}

Result<UdpSessions::Session*> UdpSessions::open(const UdpDatagram& datagram) {
  if (sessions_.size() >= kMaximum) forget(sessions_.begin());
  const Ends ends{datagram.guest, datagram.remote};
  sessions_.push_back({.ends = ends, .used = Clock::now()});
  const auto session = std::prev(sessions_.end());
  by_ends_[ends] = session;
  const auto targets = dial_targets(datagram.remote, context_.gateways);
  if (targets.size() > 1) session->other = targets[1];
  auto pointed = point(*session, targets[0]);
  if (!pointed && session->other) pointed = point(*session, *std::exchange(session->other, std::nullopt));
  if (!pointed) {
    forget(session);
    return fail(std::move(pointed).error());
  }
  if (sessions_.size() == 1) MSB_CHECK(timer_->arm(kIdle));
  return &*session;
}

// From now on the session's datagrams go there; after a failure where they went before.
Result<> UdpSessions::point(Session& session, const Endpoint& target) {
  MSB_TRY(Fd socket, open_udp(target));
  MSB_TRY(session.watch,
          context_.reactor.watch(socket.get(), EPOLLIN, [this, &session](uint32_t) { answer(session); }));
  session.socket = std::move(socket);
  return {};
}

// An errno, 0 when it is sent.
int UdpSessions::send(Session& session, ByteView payload) {
  if (::send(session.socket.get(), payload.data(), payload.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    const int error = errno;
    return error == ECONNREFUSED && turn_to_other(session, payload) ? 0 : error;
  }
  if (session.other && session.first.empty()) session.first.assign(payload.begin(), payload.end());
  return 0;
}

// Nobody listens where it began: what was said there is said again, and `more`, which could not be any more.
bool UdpSessions::turn_to_other(Session& session, ByteView more) {
  if (!session.other) return false;
  const Endpoint target = *std::exchange(session.other, std::nullopt);
  const Bytes first = std::exchange(session.first, {});
  if (!point(session, target)) return false;
  for (const ByteView said : {ByteView(first), more})
    if (!said.empty()) (void)send(session, said);
  return true;
}

void UdpSessions::answer(Session& session) {
  std::array<uint8_t, 65536> buffer;
  for (int turn = 0; turn < kTurn; ++turn) {
    const ssize_t got = ::recv(session.socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0) {
      const int error = errno;
      if (error == EINTR) continue;
      if (error == ECONNREFUSED && turn_to_other(session, {})) return;
      if (error == ECONNREFUSED)
        stack_().send_unreachable({session.ends.guest, session.ends.remote, {}}, Unreachable::port);
      else if (const auto why = meaning_of(error))
        stack_().send_unreachable({session.ends.guest, session.ends.remote, {}}, *why);
      break;
    }
    session.other.reset();
    session.first.clear();
    stack_().send_udp(session.ends.remote, session.ends.guest, {buffer.data(), static_cast<size_t>(got)});
    touch(session);
  }
}

void UdpSessions::touch(Session& session) {
  session.used = Clock::now();
  const auto at = by_ends_.find(session.ends)->second;
  sessions_.splice(sessions_.end(), sessions_, at);
}

void UdpSessions::forget(Sessions::iterator session) {
  by_ends_.erase(session->ends);
  sessions_.erase(session);
}

void UdpSessions::sweep() {
  const auto now = Clock::now();
  while (!sessions_.empty() && sessions_.front().used + kIdle <= now) forget(sessions_.begin());
  if (!sessions_.empty()) (void)timer_->arm(sessions_.front().used + kIdle - now);
}

}  // namespace msb::net
