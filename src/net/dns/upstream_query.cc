#include "net/dns/upstream_query.h"

#include <sys/random.h>
#include <sys/socket.h>

namespace msb::net {
namespace {

constexpr size_t kLengthSize = 2;  // RFC 1035, 4.2.2

Result<uint16_t> random_id() {
  uint16_t id = 0;
  if (::getrandom(&id, sizeof(id), 0) != sizeof(id)) return fail_errno("get random bytes");
  return id;
}

// Some servers leave the question out of an error.
bool is_bare_error(const DnsMessage& message) {
  return message.questions().empty() && message.rcode() != DnsRcode::no_error &&
         message.rcode() != DnsRcode::name_error && message.answers().empty();
}

}  // namespace

UpstreamQuery::UpstreamQuery(Reactor& reactor, const Endpoint& server, Bytes query, DnsQuestion question, Done done)
    : reactor_(reactor),
      server_(server),
      query_(std::move(query)),
      question_(std::move(question)),
      done_(std::move(done)) {}

Result<std::unique_ptr<UpstreamQuery>> UpstreamQuery::start(Reactor& reactor, const Endpoint& server,
                                                            Transport transport, std::chrono::milliseconds timeout,
                                                            Bytes query, DnsQuestion question, Done done) {
  std::unique_ptr<UpstreamQuery> out(
      new UpstreamQuery(reactor, server, std::move(query), std::move(question), std::move(done)));
  MSB_TRY(const uint16_t id, random_id());
  store_be(out->query_.data(), id);
  MSB_TRY(out->timer_, Timer::create(reactor, [raw = out.get()] {
            raw->finish_without_tcp(Error(ErrorKind::io, "no answer in time").with_errnum(ETIMEDOUT));
          }));
  MSB_CHECK(out->timer_->arm(timeout));
  MSB_CHECK(out->open(transport));
  return out;
}

Result<> UpstreamQuery::open(Transport transport) {
  watch_.reset();
  const bool udp = transport == Transport::udp;
  socket_ = Fd(::socket(server_.ip.is_v4() ? AF_INET : AF_INET6,
                        (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket_) return fail_errno("open a socket");
  const SocketAddress address = to_socket_address(server_);
  if (::connect(socket_.get(), address.get(), address.size) < 0 && errno != EINPROGRESS)
    return fail_errno(cat("connect to ", server_.to_string()));
  if (udp) {
    if (::send(socket_.get(), query_.data(), query_.size(), MSG_NOSIGNAL) < 0)
      return fail_errno(cat("send to ", server_.to_string()));
    MSB_TRY(watch_, reactor_.watch(socket_.get(), EPOLLIN, [this](uint32_t) { readable_udp(); }));
    return {};
  }
  outgoing_.resize(kLengthSize);
  store_be(outgoing_.data(), static_cast<uint16_t>(query_.size()));
  outgoing_.insert(outgoing_.end(), query_.begin(), query_.end());
  incoming_.resize(kLengthSize);
  MSB_TRY(watch_, reactor_.watch(socket_.get(), EPOLLOUT, [this](uint32_t events) { ready_tcp(events); }));
  return {};
}

bool UpstreamQuery::is_answer(const DnsMessage& message) const {
  if (!message.is_response() || message.opcode() != 0 || message.id() != load_be<uint16_t>(query_.data())) return false;
  if (message.questions().size() == 1) return message.questions()[0] == question_;
  return is_bare_error(message);
}

void UpstreamQuery::readable_udp() {
  Bytes datagram(kDnsLargest);
  const ssize_t size = ::recv(socket_.get(), datagram.data(), datagram.size(), 0);
  if (size < 0) {
    if (errno == EAGAIN || errno == EINTR) return;
    return finish(fail_errno(cat("receive from ", server_.to_string())));
  }
  datagram.resize(static_cast<size_t>(size));
  const auto message = DnsMessage::parse(datagram);
  if (!message || !is_answer(*message)) return;  // not ours: the right one may still come
  if (!message->is_truncated()) return finish(std::move(datagram));
  cut_ = std::move(datagram);
  if (auto opened = open(Transport::tcp); !opened) finish_without_tcp(std::move(opened).error());
}

void UpstreamQuery::ready_tcp(uint32_t events) {
  auto whole = advance_tcp(events);
  if (!whole) return finish_without_tcp(std::move(whole).error());
  if (!*whole) return;
  incoming_.erase(incoming_.begin(), incoming_.begin() + kLengthSize);
  const auto message = DnsMessage::parse(incoming_);
  if (!message || !is_answer(*message))
    return finish_without_tcp(Error(ErrorKind::protocol, cat(server_.to_string(), " answered something else")));
  finish(std::move(incoming_));
}

Result<bool> UpstreamQuery::advance_tcp(uint32_t events) {
  if (sent_ < outgoing_.size()) {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
      int error = 0;
      socklen_t size = sizeof(error);
      ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      return fail_errno(cat("connect to ", server_.to_string()), error != 0 ? error : ECONNRESET);
    }
    const ssize_t sent = ::send(socket_.get(), &outgoing_[sent_], outgoing_.size() - sent_, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return fail_errno(cat("send to ", server_.to_string()));
    if (sent > 0) sent_ += static_cast<size_t>(sent);
    if (sent_ == outgoing_.size()) MSB_CHECK(watch_.set_events(EPOLLIN));
    return false;
  }
  const ssize_t size = ::recv(socket_.get(), &incoming_[received_], incoming_.size() - received_, 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (size < 0) return fail_errno(cat("receive from ", server_.to_string()));
  if (size == 0) return fail(ErrorKind::protocol, cat(server_.to_string(), " closed the connection"));
  received_ += static_cast<size_t>(size);
  if (received_ < incoming_.size()) return false;
  if (received_ == kLengthSize) {
    const auto length = load_be<uint16_t>(incoming_.data());
    if (length < kDnsHeaderSize) return fail(ErrorKind::protocol, cat(server_.to_string(), " sent no DNS message"));
    incoming_.resize(kLengthSize + length);
    return false;
  }
  return true;
}

void UpstreamQuery::finish_without_tcp(Error error) {
  if (cut_.empty()) return finish(fail(std::move(error)));
  finish(std::move(cut_));
}

void UpstreamQuery::finish(Result<Bytes> result) {
  watch_.reset();
  timer_->disarm();
  // The last thing done here: it may destroy this.
  const Done done = std::move(done_);
  done(std::move(result));
}

}  // namespace msb::net
