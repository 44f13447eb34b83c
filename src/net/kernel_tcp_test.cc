// The stack against the TCP of this machine's kernel, on a tap device in a network namespace of the test's own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/testing/stack_thread.h"
#include "net/testing/tap_guest.h"

namespace msb::net {
namespace {

using testing::Services;
using testing::StackThread;
using testing::TapGuest;

const Ip kAnywhere[] = {Ip::v4(198, 51, 100, 7), Ip::parse("2001:db8::7").value()};

class KernelTcp : public ::testing::TestWithParam<Ip> {
 protected:
  void SetUp() override {
    auto guest = TapGuest::create(TapGuest::link_config());
    if (!guest) GTEST_SKIP() << "needs a tap device and a network namespace: " << guest.error().to_string();
    guest_ = std::move(*guest);
    stack_.emplace(guest_->take_link(), TapGuest::link_config());
  }
  Fd make_socket(int type) const { return guest_->socket(GetParam().is_v4() ? AF_INET : AF_INET6, type); }
  // errno of connect(), 0 when it worked.
  int try_connect(const Fd& socket, uint16_t port) const {
    const SocketAddress to = to_socket_address({GetParam(), port});
    return ::connect(socket.get(), to.get(), to.size) == 0 ? 0 : errno;
  }
  Fd connect(uint16_t port) const {
    Fd socket = make_socket(SOCK_STREAM);
    const int error = try_connect(socket, port);
    EXPECT_EQ(error, 0) << std::strerror(error);
    return socket;
  }
  // What the stack's thread does next has an end; there is no other way to hear of it.
  template <class Condition>
  void wait_until(Condition condition) {
    bool met = false;
    while (!met) stack_->run([&] { met = condition(); });
  }
  std::unique_ptr<TapGuest> guest_;
  std::optional<StackThread> stack_;
};

void set_timeout(const Fd& socket) {
  const timeval limit{.tv_sec = 60, .tv_usec = 0};
  ASSERT_EQ(::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
}

Bytes pattern(uint64_t place, size_t size) {
  Bytes bytes(size);
  testing::fill_pattern(place, bytes);
  return bytes;
}

// Reads to the end; whether all of it was the pattern.
uint64_t read_pattern(const Fd& socket, bool& as_sent) {
  Bytes buffer(256 << 10);
  uint64_t place = 0;
  while (true) {
    const ssize_t count = ::read(socket.get(), buffer.data(), buffer.size());
    EXPECT_GE(count, 0) << std::strerror(errno);
    if (count <= 0) return place;
    as_sent = as_sent && testing::is_pattern(place, ByteView(buffer).first(static_cast<size_t>(count)));
    place += static_cast<uint64_t>(count);
  }
}

TEST_P(KernelTcp, EchoesAMessage) {
  Fd socket = connect(7);
  ASSERT_EQ(::write(socket.get(), "hello", 5), 5);
  char buffer[16];
  ASSERT_EQ(::read(socket.get(), buffer, sizeof(buffer)), 5);
  EXPECT_EQ(std::string_view(buffer, 5), "hello");
  ASSERT_EQ(::shutdown(socket.get(), SHUT_WR), 0);
  EXPECT_EQ(::read(socket.get(), buffer, sizeof(buffer)), 0);
}

TEST_P(KernelTcp, BulkToTheGuestArrivesWhole) {
  Fd socket = connect(19);
  set_timeout(socket);
  bool as_sent = true;
  EXPECT_EQ(read_pattern(socket, as_sent), Services::kSourceSize);
  EXPECT_TRUE(as_sent);
}

TEST_P(KernelTcp, BulkFromTheGuestArrivesWhole) {
  Fd socket = connect(9);
  set_timeout(socket);
  const uint64_t total = 16 << 20;
  for (uint64_t place = 0; place < total; place += 1 << 20)
    ASSERT_TRUE(write_full(socket.get(), pattern(place, 1 << 20)));
  ASSERT_EQ(::shutdown(socket.get(), SHUT_WR), 0);
  char end;
  EXPECT_EQ(::read(socket.get(), &end, 1), 0);
  EXPECT_EQ(stack_->services().taken, total);
  EXPECT_TRUE(stack_->services().all_as_sent);
}

TEST_P(KernelTcp, ASlowReaderGetsAllOfIt) {
  Fd socket = make_socket(SOCK_STREAM);
  const int small = 4096;
  ASSERT_EQ(::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
  ASSERT_EQ(try_connect(socket, 19), 0);
  set_timeout(socket);
  uint64_t place = 0;
  Bytes buffer(777);
  while (place < 1 << 20) {
    const ssize_t count = ::read(socket.get(), buffer.data(), buffer.size());
    ASSERT_GT(count, 0) << std::strerror(errno);
    ASSERT_TRUE(testing::is_pattern(place, ByteView(buffer).first(static_cast<size_t>(count))));
    place += static_cast<uint64_t>(count);
  }
}

TEST_P(KernelTcp, AReaderThatPausesClosesTheWindowAndLosesNothing) {
  Fd socket = connect(19);
  set_timeout(socket);
  // Whatever the guest's window allows is there, and nobody reads it.
  for (int i = 0; i < 10; ++i) stack_->run([] {});
  bool as_sent = true;
  EXPECT_EQ(read_pattern(socket, as_sent), Services::kSourceSize);
  EXPECT_TRUE(as_sent);
}

TEST_P(KernelTcp, AUserThatTakesNothingStopsTheGuest) {
  Fd socket = connect(8);
  ASSERT_TRUE(set_blocking(socket.get(), Blocking::no));
  uint64_t place = 0;
  ssize_t count = 0;
  do {
    const Bytes bytes = pattern(place, 64 << 10);
    count = ::write(socket.get(), bytes.data(), bytes.size());
    if (count > 0) place += static_cast<uint64_t>(count);
  } while (count > 0);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_EQ(stack_->services().taken, 0u);
  stack_->run([&] { stack_->services().release(); });
  ASSERT_TRUE(set_blocking(socket.get(), Blocking::yes));
  ASSERT_TRUE(write_full(socket.get(), pattern(place, 1 << 20)));
  ASSERT_EQ(::shutdown(socket.get(), SHUT_WR), 0);
  char end;
  EXPECT_EQ(::read(socket.get(), &end, 1), 0);
  EXPECT_EQ(stack_->services().taken, place + (1 << 20));
  EXPECT_TRUE(stack_->services().all_as_sent);
}

TEST_P(KernelTcp, AfterOurEndTheGuestMaySendOn) {
  Fd socket = connect(19);
  set_timeout(socket);
  bool as_sent = true;
  read_pattern(socket, as_sent);
  ASSERT_EQ(::write(socket.get(), "more", 4), 4);
  EXPECT_EQ(stack_->services().open, 1);
  ASSERT_EQ(::shutdown(socket.get(), SHUT_WR), 0);
  wait_until([&] { return stack_->services().open == 0; });
  EXPECT_EQ(stack_->services().closed, 1);
}

TEST_P(KernelTcp, TheGuestsResetArrives) {
  Fd socket = connect(7);
  const linger none{.l_onoff = 1, .l_linger = 0};
  ASSERT_EQ(::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
  socket.reset();
  wait_until([&] { return stack_->services().open == 0; });
  EXPECT_EQ(stack_->services().resets, 1);
}

TEST_P(KernelTcp, OurResetArrives) {
  Fd socket = connect(11);
  set_timeout(socket);
  ASSERT_EQ(::write(socket.get(), "x", 1), 1);
  char buffer;
  EXPECT_EQ(::read(socket.get(), &buffer, 1), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

TEST_P(KernelTcp, AnAnswerMayComeLate) {
  Fd socket = make_socket(SOCK_STREAM);
  ASSERT_TRUE(set_blocking(socket.get(), Blocking::no));
  EXPECT_EQ(try_connect(socket, 10), EINPROGRESS);
  wait_until([&] { return stack_->services().late.size() == 1; });
  stack_->run([&] { stack_->services().answer_late(); });
  ASSERT_TRUE(set_blocking(socket.get(), Blocking::yes));
  set_timeout(socket);
  pollfd ready{.fd = socket.get(), .events = POLLOUT, .revents = 0};
  ASSERT_EQ(::poll(&ready, 1, 60'000), 1);
  EXPECT_EQ(try_connect(socket, 10), 0);
}

TEST_P(KernelTcp, AThousandConnectionsAtOnce) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = std::min<rlim_t>(files.rlim_max, 8192);
  ::setrlimit(RLIMIT_NOFILE, &files);
  std::vector<Fd> sockets;
  for (int i = 0; i < 1000; ++i) sockets.push_back(connect(7));
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(::write(sockets[i].get(), &i, sizeof(i)), 4);
  for (int i = 0; i < 1000; ++i) {
    int back = -1;
    ASSERT_EQ(::read(sockets[i].get(), &back, sizeof(back)), 4);
    ASSERT_EQ(back, i);
  }
  EXPECT_EQ(stack_->services().open, 1000);
  sockets.clear();
  wait_until([&] { return stack_->services().open == 0; });
  EXPECT_EQ(stack_->services().closed, 1000);
}

TEST_P(KernelTcp, AServiceOfTheGuestIsReached) {
  Fd listener = make_socket(SOCK_STREAM);
  const bool v4 = GetParam().is_v4();
  const SocketAddress any = to_socket_address({v4 ? Ip() : Ip::v6({}), 8080});
  ASSERT_EQ(::bind(listener.get(), any.get(), any.size), 0);
  ASSERT_EQ(::listen(listener.get(), 8), 0);
  stack_->run([&] { stack_->services().dial(8080, {GetParam(), 50000}); });
  sockaddr_storage peer{};
  socklen_t size = sizeof(peer);
  Fd socket(::accept(listener.get(), reinterpret_cast<sockaddr*>(&peer), &size));
  ASSERT_TRUE(socket);
  EXPECT_EQ(to_endpoint(peer), (Endpoint{GetParam(), 50000}));
  ASSERT_EQ(::write(socket.get(), "hello", 5), 5);
  char buffer[16];
  EXPECT_EQ(::read(socket.get(), buffer, sizeof(buffer)), 5);
  stack_->run([&] { stack_->services().dial(8081, {GetParam(), 50000}); });
  wait_until([&] { return stack_->services().refused == 1; });
}

TEST_P(KernelTcp, RefusalsAndUnreachabilityHaveTheirErrors) {
  const bool v4 = GetParam().is_v4();
  EXPECT_EQ(try_connect(make_socket(SOCK_STREAM), 1), ECONNREFUSED);
  EXPECT_EQ(try_connect(make_socket(SOCK_STREAM), 2), ENETUNREACH);
  EXPECT_EQ(try_connect(make_socket(SOCK_STREAM), 3), EHOSTUNREACH);
  EXPECT_EQ(try_connect(make_socket(SOCK_STREAM), 4), ECONNREFUSED);
  EXPECT_EQ(try_connect(make_socket(SOCK_STREAM), 5), v4 ? EHOSTUNREACH : EACCES);
}

TEST_P(KernelTcp, DatagramsOfAllSizesComeBack) {
  Fd socket = make_socket(SOCK_DGRAM);
  set_timeout(socket);
  ASSERT_EQ(try_connect(socket, 7), 0);
  for (const size_t size : {0, 1, 1472, 1473, 9000, 65000}) {
    const Bytes sent = pattern(size, size);
    ASSERT_EQ(::send(socket.get(), sent.data(), sent.size(), 0), static_cast<ssize_t>(size));
    Bytes received(65536);
    const ssize_t count = ::recv(socket.get(), received.data(), received.size(), 0);
    ASSERT_EQ(count, static_cast<ssize_t>(size)) << std::strerror(errno);
    received.resize(size);
    EXPECT_EQ(received, sent);
  }
}

TEST_P(KernelTcp, AnUnreachablePortOfUdpIsRefused) {
  Fd socket = make_socket(SOCK_DGRAM);
  set_timeout(socket);
  ASSERT_EQ(try_connect(socket, 4), 0);
  ASSERT_EQ(::send(socket.get(), "x", 1, 0), 1);
  char buffer;
  EXPECT_EQ(::recv(socket.get(), &buffer, 1, 0), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
}

TEST_P(KernelTcp, PingsAreAnswered) {
  const bool v4 = GetParam().is_v4();
  guest_->run(
      [] { (void)write_full(open_file("/proc/sys/net/ipv4/ping_group_range", O_WRONLY)->get(), as_bytes("0 0")); });
  Fd socket = guest_->socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM, v4 ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6});
  ASSERT_TRUE(socket);
  set_timeout(socket);
  const LinkConfig config = TapGuest::link_config();
  for (const Ip& target : {GetParam(), v4 ? config.v4->gateway : config.v6->gateway}) {
    const SocketAddress to = to_socket_address({target, 0});
    Bytes request(3000);
    request[0] = v4 ? 8 : 128;
    request[7] = 1;
    ASSERT_EQ(::sendto(socket.get(), request.data(), request.size(), 0, to.get(), to.size), 3000)
        << std::strerror(errno);
    Bytes reply(4000);
    ASSERT_EQ(::recv(socket.get(), reply.data(), reply.size(), 0), 3000) << std::strerror(errno);
    EXPECT_EQ(reply[0], v4 ? 0 : 129);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, KernelTcp, ::testing::ValuesIn(kAnywhere),
                         [](const auto& instance) { return instance.param.is_v4() ? "IPv4" : "IPv6"; });

}  // namespace
}  // namespace msb::net
