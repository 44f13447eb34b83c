#include "net/flow/host_socket.h"

#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>

namespace msb::net {
namespace {

// Some 60 seconds: guests give up after two minutes.
constexpr int kSynRetries = 5;

Result<Fd> open_socket(const Ip& remote, int type) {
  Fd socket(::socket(remote.is_v4() ? AF_INET : AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno("create a socket");
  return socket;
}

}  // namespace

std::optional<Unreachable> meaning_of(int errnum) {
  switch (errnum) {
    case ENETUNREACH:
    case ENETDOWN:
    case EAFNOSUPPORT:
    case EADDRNOTAVAIL:
      return Unreachable::network;
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ETIMEDOUT:
      return Unreachable::host;
    case EACCES:
    case EPERM:
      return Unreachable::prohibited;
    default:
      return std::nullopt;
  }
}

Result<Fd> open_udp(const Endpoint& remote) {
  MSB_TRY(Fd socket, open_socket(remote.ip, SOCK_DGRAM));
  const SocketAddress address = to_socket_address(remote);
  if (::connect(socket.get(), address.get(), address.size) < 0) return fail_errno(cat("send to ", remote.to_string()));
  return socket;
}

void abort_socket(Fd socket) {
  const linger now{1, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

std::vector<Endpoint> dial_targets(const Endpoint& remote, const std::vector<Ip>& gateways) {
  if (std::ranges::find(gateways, remote.ip) == gateways.end()) return {remote};
  std::array<uint8_t, 16> loopback{};
  loopback[15] = 1;
  std::vector<Endpoint> targets{{Ip::v4(127, 0, 0, 1), remote.port}, {Ip::v6(loopback), remote.port}};
  if (!remote.ip.is_v4()) std::ranges::reverse(targets);
  return targets;
}

std::unique_ptr<Dial> Dial::start(Reactor& reactor, std::vector<Endpoint> candidates, Done done) {
  std::unique_ptr<Dial> dial(new Dial(reactor, std::move(candidates), std::move(done)));
  dial->next();
  return dial;
}

// On to the next candidate; when there is none, to the end, by way of the reactor.
void Dial::next() {
  while (tried_ < candidates_.size()) {
    auto begun = connect(candidates_[tried_++]);
    if (begun) return;
    error_ = std::move(begun).error();
  }
  watch_.reset();
  socket_.reset();
  later_ = Fd(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
  auto watch = reactor_.watch(later_.get(), EPOLLIN, [this](uint32_t) {
    finish(fail(error_.value_or(Error(ErrorKind::io, "there is nowhere to connect to"))));
  });
  if (watch) watch_ = std::move(*watch);
}

Result<> Dial::connect(const Endpoint& remote) {
  watch_.reset();
  MSB_TRY(socket_, open_socket(remote.ip, SOCK_STREAM));
  constexpr int kOn = 1;
  ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &kOn, sizeof(kOn));
  ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_SYNCNT, &kSynRetries, sizeof(kSynRetries));
  const SocketAddress address = to_socket_address(remote);
  if (::connect(socket_.get(), address.get(), address.size) < 0 && errno != EINPROGRESS)
    return fail_errno(cat("connect to ", remote.to_string()));
  MSB_TRY(watch_, reactor_.watch(socket_.get(), EPOLLOUT, [this](uint32_t) { on_event(); }));
  return {};
}

void Dial::on_event() {
  int errnum = 0;
  socklen_t size = sizeof(errnum);
  ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &errnum, &size);
  if (errnum == 0) return finish(std::move(socket_));
  error_ = Error::from_errno(errnum, cat("connect to ", candidates_[tried_ - 1].to_string()));
  next();
}

void Dial::finish(Result<Fd> outcome) {
  watch_.reset();
  auto done = std::move(done_);  // the call may destroy this object
  done(std::move(outcome));
}

}  // namespace msb::net
