#include "net/dns/testing/fake_upstream.h"

#include <sys/socket.h>

#include <stdexcept>

namespace msb::net::testing {
namespace {

// A test's machine without loopback is not worth a Result.
void must(bool good, const char* what) {
  if (!good) throw std::runtime_error(what);
}

Endpoint bind_to(int fd, const Endpoint& endpoint) {
  const SocketAddress address = to_socket_address(endpoint);
  must(::bind(fd, address.get(), address.size) == 0, "bind");
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  must(::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) == 0, "getsockname");
  return to_endpoint(bound);
}

}  // namespace

FakeUpstream::FakeUpstream(Reactor& reactor, Script udp, Script tcp, const Ip& at)
    : reactor_(reactor), udp_script_(std::move(udp)), tcp_script_(std::move(tcp)) {
  // A port that is free for both: the kernel picks one for TCP, and hardly anybody else uses UDP ports here.
  const int family = at.is_v4() ? AF_INET : AF_INET6;
  tcp_ = Fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  endpoint_ = bind_to(tcp_.get(), {at, 0});
  udp_ = Fd(::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  bind_to(udp_.get(), endpoint_);
  if (tcp_script_) must(::listen(tcp_.get(), 16) == 0, "listen");
  udp_watch_ = reactor.watch(udp_.get(), EPOLLIN, [this](uint32_t) { receive(); }).value();
  tcp_watch_ = reactor.watch(tcp_.get(), tcp_script_ ? uint32_t{EPOLLIN} : 0, [this](uint32_t) { accept(); }).value();
  if (!tcp_script_) tcp_watch_.reset();
}

void FakeUpstream::receive() {
  Bytes datagram(kDnsLargest);
  sockaddr_storage from{};
  socklen_t size = sizeof(from);
  const ssize_t count =
      ::recvfrom(udp_.get(), datagram.data(), datagram.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
  if (count < 0) return;
  datagram.resize(static_cast<size_t>(count));
  ++udp_queries_;
  client_ = to_endpoint(from);
  const auto query = DnsMessage::parse(datagram);
  must(query.has_value(), "the gateway sent no DNS message");
  for (const Bytes& reply : udp_script_(*query))
    ::sendto(udp_.get(), reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
}

void FakeUpstream::accept() {
  Connection& connection = connections_.emplace_back();
  connection.socket = Fd(::accept4(tcp_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  connection.watch =
      reactor_.watch(connection.socket.get(), EPOLLIN, [this, &connection](uint32_t) { read(connection); }).value();
}

void FakeUpstream::read(Connection& connection) {
  uint8_t buffer[4096];
  const ssize_t count = ::recv(connection.socket.get(), buffer, sizeof(buffer), 0);
  if (count <= 0) return connection.watch.reset();
  connection.bytes.insert(connection.bytes.end(), buffer, buffer + count);
  if (connection.bytes.size() < 2 || connection.bytes.size() < size_t{2} + load_be<uint16_t>(connection.bytes.data()))
    return;
  ++tcp_queries_;
  const auto query = DnsMessage::parse(ByteView(connection.bytes).subspan(2));
  must(query.has_value(), "the gateway sent no DNS message");
  const std::vector<Bytes> replies = tcp_script_(*query);
  connection.bytes.clear();
  for (const Bytes& reply : replies) {
    if (reply.empty()) {
      connection.watch.reset();
      connection.socket.reset();
      return;
    }
    Bytes framed(2);
    store_be(framed.data(), static_cast<uint16_t>(reply.size()));
    framed.insert(framed.end(), reply.begin(), reply.end());
    must(write_full(connection.socket.get(), framed).has_value(), "write");
  }
}

}  // namespace msb::net::testing
