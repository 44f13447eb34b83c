#include "net/flow/ping_sessions.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>

namespace msb::net {
namespace {

constexpr size_t kHeader = 8;  // type, code, checksum, id, sequence
constexpr uint8_t kRequestV4 = 8, kReplyV4 = 0, kRequestV6 = 128, kReplyV6 = 129;

Result<Fd> open_ping(const Ip& remote) {
  Fd socket(remote.is_v4() ? ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP)
                           : ::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6));
  if (!socket) return fail_errno("open a ping socket (net.ipv4.ping_group_range says who may)");
  const SocketAddress address = to_socket_address({remote, 0});
  if (::connect(socket.get(), address.get(), address.size) < 0) return fail_errno(cat("ping ", remote.to_string()));
  return socket;
}

}  // namespace

Result<std::unique_ptr<PingSessions>> PingSessions::create(FlowContext& context, std::function<GuestStack&()> stack) {
  std::unique_ptr<PingSessions> pings(new PingSessions(context, std::move(stack)));
  MSB_TRY(pings->timer_, Timer::create(context.reactor, [self = pings.get()] { self->sweep(); }));
  return pings;
}

void PingSessions::handle(const PingRequest& request) {
  const auto protocol = request.remote.is_v4() ? NetworkProtocol::icmpv4 : NetworkProtocol::icmpv6;
  const Verdict verdict = context_.policy.egress({protocol, request.remote, 0}, context_.pins);
  const bool allowed = verdict.kind == Verdict::Kind::allow;
  if (!allowed || !context_.upstream.is_direct(request.remote)) {
    context_.on_denial({.protocol = protocol,
                        .remote = Endpoint{request.remote, 0},
                        .rule = allowed ? std::string(kProxyRule) : verdict.reason});
    return;
  }
  auto session = session_of(request);
  if (!session) {
    if (const auto why = meaning_of(session.error().errnum())) stack_().send_unreachable(request, *why);
    return;
  }
  Bytes message(kHeader + request.payload.size());
  message[0] = request.remote.is_v4() ? kRequestV4 : kRequestV6;
  store_be<uint16_t>(&message[6], request.sequence);  // checksum and id are the host's
  std::ranges::copy(request.payload, message.begin() + kHeader);
  if (::send((*session)->socket.get(), message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
    if (const auto why = meaning_of(errno)) stack_().send_unreachable(request, *why);
}

Result<PingSessions::Session*> PingSessions::session_of(const PingRequest& request) {
  auto found = std::ranges::find_if(
      sessions_, [&](const Session& session) { return session.remote == request.remote && session.id == request.id; });
  if (found == sessions_.end()) {
    if (sessions_.size() >= kMaximum) sessions_.pop_front();
    MSB_TRY(Fd socket, open_ping(request.remote));
    sessions_.push_back({request.remote, request.id, std::move(socket), Clock::now(), {}});
    found = std::prev(sessions_.end());
    Session& session = *found;
    auto watch = context_.reactor.watch(session.socket.get(), EPOLLIN, [this, &session](uint32_t) { answer(session); });
    if (!watch) {
      sessions_.pop_back();
      return fail(std::move(watch).error());
    }
    session.watch = std::move(*watch);
    if (sessions_.size() == 1) MSB_CHECK(timer_->arm(kIdle));
  }
  found->used = Clock::now();
  sessions_.splice(sessions_.end(), sessions_, found);
  return &*found;
}

void PingSessions::answer(Session& session) {
  std::array<uint8_t, 65536> buffer;
  const ssize_t got = ::recv(session.socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0) {
    const auto why = meaning_of(errno);
    if (why) stack_().send_unreachable(PingRequest{session.remote, session.id, 0, {}}, *why);
    return;
  }
  const ByteView message(buffer.data(), static_cast<size_t>(got));
  if (message.size() < kHeader || (message[0] != kReplyV4 && message[0] != kReplyV6)) return;
  stack_().send_pong({session.remote, session.id, load_be<uint16_t>(&message[6]), message.subspan(kHeader)});
}

void PingSessions::sweep() {
  const auto now = Clock::now();
  while (!sessions_.empty() && sessions_.front().used + kIdle <= now) sessions_.pop_front();
  if (!sessions_.empty()) (void)timer_->arm(sessions_.front().used + kIdle - now);
}

}  // namespace msb::net
