#include "net/testing/blocking_sockets.h"

#include <gtest/gtest.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#include <system_error>

namespace msb::net::testing {

void set_patience(const Fd& socket) {
  const timeval limit{.tv_sec = kPatience, .tv_usec = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

void want_all_errors(const Fd& socket) {
  constexpr int kOn = 1;
  int family = 0;
  socklen_t size = sizeof(family);
  ::getsockopt(socket.get(), SOL_SOCKET, SO_DOMAIN, &family, &size);
  if (family == AF_INET)
    ::setsockopt(socket.get(), IPPROTO_IP, IP_RECVERR, &kOn, sizeof(kOn));
  else
    ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_RECVERR, &kOn, sizeof(kOn));
}

int connect_to(const Fd& socket, const Endpoint& remote) {
  const SocketAddress to = to_socket_address(remote);
  return ::connect(socket.get(), to.get(), to.size) == 0 ? 0 : errno;
}

void say(const Fd& socket, std::string_view text) {
  ASSERT_EQ(::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}

void question_and_answer(const Fd& client, const Fd& server) {
  say(client, "question");
  EXPECT_EQ(hear(server, 8), "question");
  ::shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(hear(server, 1), "");
  say(server, "answer");
  ::shutdown(server.get(), SHUT_WR);
  EXPECT_EQ(hear(client, 100), "answer");
}

void say_ping(const Fd& socket, const Ip& to, std::string_view payload) {
  EXPECT_EQ(connect_to(socket, {to, 0}), 0);
  std::string message(8, '\0');
  message[0] = static_cast<char>(to.is_v4() ? ICMP_ECHO : ICMP6_ECHO_REQUEST);
  message[7] = 1;  // the sequence number; the rest is the kernel's
  say(socket, message.append(payload));
}

std::string words_of(int errnum) {
  return std::generic_category().message(errnum);
}

std::string hear(const Fd& socket, size_t size) {
  std::string text(size, '\0');
  size_t have = 0;
  while (have < size) {
    const ssize_t got = ::recv(socket.get(), text.data() + have, size - have, 0);
    if (got < 0) return errno == ECONNRESET ? "reset" : words_of(errno);
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  text.resize(have);
  return text;
}

Endpoint bind_at(const Fd& socket, const Endpoint& local) {
  set_patience(socket);
  const SocketAddress address = to_socket_address(local);
  EXPECT_EQ(::bind(socket.get(), address.get(), address.size), 0) << local.to_string() << " " << words_of(errno);
  sockaddr_storage real{};
  socklen_t size = sizeof(real);
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&real), &size);
  return to_endpoint(real);
}

Endpoint listen_at(const Fd& socket, const Endpoint& local) {
  const Endpoint at = bind_at(socket, local);
  EXPECT_EQ(::listen(socket.get(), 1024), 0);
  return at;
}

Fd accept_one(const Fd& listener) {
  Fd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  set_patience(peer);
  return peer;
}

Endpoint hear_and_reply(const Fd& socket, std::string_view expected, std::string_view reply) {
  std::string text(expected.size() + 1, '\0');
  sockaddr_storage from{};
  socklen_t size = sizeof(from);
  const ssize_t got = ::recvfrom(socket.get(), text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
  EXPECT_EQ(std::string_view(text).substr(0, got < 0 ? 0 : static_cast<size_t>(got)), expected);
  EXPECT_EQ(::sendto(socket.get(), reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from), size),
            static_cast<ssize_t>(reply.size()));
  return to_endpoint(from);
}

}  // namespace msb::net::testing
