#include "net/flow/proxy_dial.h"

#include <sys/socket.h>

#include <array>

namespace msb::net {

std::unique_ptr<ProxyDial> ProxyDial::start(Reactor& reactor, const UpstreamProxy& proxy, const Endpoint& destination,
                                            Dial::Done done) {
  std::unique_ptr<ProxyDial> self(new ProxyDial(reactor, proxy, destination, std::move(done)));
  self->dial_ = Dial::start(reactor, proxy.addresses,
                            [raw = self.get()](Result<Fd> socket) { raw->connected(std::move(socket)); });
  return self;
}

void ProxyDial::connected(Result<Fd> socket) {
  dial_.reset();
  if (!socket) {
    // Whatever it was: the destination is not what could not be reached.
    return finish(fail(ErrorKind::io, cat("cannot be reached: ", socket.error().message())));
  }
  if (auto begun = begin(std::move(*socket)); !begun) finish(fail(std::move(begun).error()));
}

Result<> ProxyDial::begin(Fd socket) {
  socket_ = std::move(socket);
  MSB_TRY(deadline_, Timer::create(reactor_, [this] {
            finish(fail_errno(cat("there is no answer through the proxy for ", kPatience.count(), " s"), ETIMEDOUT));
          }));
  MSB_CHECK(deadline_->arm(kPatience));
  MSB_TRY(watch_, reactor_.watch(socket_.get(), EPOLLIN, [this](uint32_t) { on_event(); }));
  return say();
}

void ProxyDial::on_event() {
  if (auto went = converse(); !went) return finish(fail(std::move(went).error()));
  if (handshake_->done()) finish(std::move(socket_));
}

Result<> ProxyDial::converse() {
  MSB_CHECK(say());
  MSB_CHECK(hear());
  return say();
}

// Looks first and takes then what was the proxy's: the rest stays in the socket.
Result<> ProxyDial::hear() {
  std::array<uint8_t, 4096> buffer;
  while (!handshake_->done()) {
    const ssize_t seen = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_PEEK | MSG_DONTWAIT);
    if (seen < 0 && (errno == EAGAIN || errno == EINTR)) return {};
    if (seen <= 0) return fail(ErrorKind::io, "hangs up");
    MSB_TRY(const size_t own, handshake_->receive({buffer.data(), static_cast<size_t>(seen)}));
    if (::recv(socket_.get(), buffer.data(), own, MSG_DONTWAIT) != static_cast<ssize_t>(own))
      return fail(ErrorKind::io, "hangs up");
  }
  return {};
}

Result<> ProxyDial::say() {
  const Bytes more = handshake_->take_output();
  unsent_.insert(unsent_.end(), more.begin(), more.end());
  if (!unsent_.empty()) {
    const ssize_t sent = ::send(socket_.get(), unsent_.data(), unsent_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return fail(ErrorKind::io, "hangs up");
    if (sent > 0) unsent_.erase(unsent_.begin(), unsent_.begin() + sent);
  }
  return watch_.set_events(EPOLLIN | (unsent_.empty() ? 0u : uint32_t{EPOLLOUT}));
}

void ProxyDial::finish(Result<Fd> outcome) {
  watch_.reset();
  deadline_.reset();
  if (!outcome && outcome.error().errnum() == 0)
    outcome = fail(outcome.error().kind(), cat("the proxy ", name_, " ", outcome.error().message()));
  auto done = std::move(done_);  // the call may destroy this object
  done(std::move(outcome));
}

}  // namespace msb::net
