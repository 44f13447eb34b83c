// What bench/net is made of: the network stack alone, with its relay, behind a tap device; and the ends of what is
// measured besides iperf3.
//
//   net_bench stack
//       prints /proc/PID/fd/N, the network namespace, and serves until stdin ends
//   net_bench serve PORT
//       sends back what it gets
//   net_bench connects ADDRESS PORT SECONDS
//       connections a second: connect, a byte there and back, reset
//   net_bench latency ADDRESS PORT N SECONDS
//       N connections, a byte there and back on each, again and again
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <map>
#include <thread>

#include "base/deadline.h"
#include "net/flow/host_socket.h"
#include "net/flow/tcp_relay.h"
#include "net/testing/tap_guest.h"

using namespace msb;
using namespace msb::net;

namespace {

constexpr int kOn = 1;

// Every connection goes to the host; the gateway's address is the host's loopback.
class Forwarder {
 public:
  explicit Forwarder(Reactor& reactor) : reactor_(reactor) {}
  void request(TcpRequest request) {
    const LinkConfig config = net::testing::TapGuest::link_config();
    const uint64_t id = ++ids_;
    auto waiting = std::make_shared<TcpRequest>(std::move(request));
    auto targets = dial_targets(waiting->remote(), {config.v4->gateway, config.v6->gateway});
    dials_[id] = Dial::start(reactor_, std::move(targets), [this, id, waiting](Result<Fd> socket) {
      auto dial = std::move(dials_.extract(id).mapped());
      if (!socket) return waiting->reset();
      auto relay = std::make_unique<TcpRelay>(reactor_, std::move(*socket));
      TcpRelay* raw = relay.get();
      if (TcpConnection* connection = waiting->accept(std::move(relay))) raw->join(*connection);
    });
  }

 private:
  Reactor& reactor_;
  uint64_t ids_ = 0;
  std::map<uint64_t, std::unique_ptr<Dial>> dials_;
};

Result<> run_stack() {
  const LinkConfig config = net::testing::TapGuest::link_config();
  MSB_TRY(auto guest, net::testing::TapGuest::create(config));
  MSB_TRY(auto reactor, Reactor::create());
  Forwarder forwarder(*reactor);
  GuestStack::Hooks hooks;
  hooks.tcp = [&](TcpRequest request) { forwarder.request(std::move(request)); };
  MSB_TRY(auto stack, GuestStack::create(*reactor, guest->take_link(), config, std::move(hooks)));
  MSB_TRY(auto input, reactor->watch(STDIN_FILENO, EPOLLIN, [&](uint32_t) { reactor->stop(); }));
  std::printf("/proc/%d/fd/%d\n", ::getpid(), guest->network_namespace());
  std::fflush(stdout);
  return reactor->run();
}

// One thread, as many connections as descriptors: an echo without a stack of ours.
Result<> run_server(uint16_t port) {
  MSB_TRY(auto reactor, Reactor::create());
  Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &kOn, sizeof(kOn));
  const SocketAddress address = to_socket_address({Ip::v4(127, 0, 0, 1), port});
  if (::bind(listener.get(), address.get(), address.size) < 0 || ::listen(listener.get(), 4096) < 0)
    return fail_errno("listen");
  struct Client {
    Fd fd;
    Reactor::Watch watch;
  };
  std::map<int, Client> clients;
  MSB_TRY(auto watch, reactor->watch(listener.get(), EPOLLIN, [&](uint32_t) {
    Fd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &kOn, sizeof(kOn));
    const int raw = fd.get();
    auto& client = clients[raw];
    client.fd = std::move(fd);
    client.watch =
        reactor
            ->watch(raw, EPOLLIN,
                    [&clients, raw](uint32_t) {
                      uint8_t buffer[4096];
                      const ssize_t count = ::recv(raw, buffer, sizeof(buffer), 0);
                      if (count <= 0 || ::send(raw, buffer, static_cast<size_t>(count), MSG_NOSIGNAL) != count)
                        clients.erase(raw);
                    })
            .value();
  }));
  return reactor->run();
}

Result<Fd> connect_to(const Endpoint& server) {
  Fd fd(::socket(server.ip.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketAddress address = to_socket_address(server);
  const linger none{1, 0};  // or the namespace runs out of ports
  ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &none, sizeof(none));
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &kOn, sizeof(kOn));
  if (::connect(fd.get(), address.get(), address.size) < 0) return fail_errno("connect");
  return fd;
}

Result<> there_and_back(int fd) {
  uint8_t byte = 1;
  if (::send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || ::recv(fd, &byte, 1, 0) != 1) return fail_errno("send and receive");
  return {};
}

Result<> measure_connects(const Endpoint& server, std::chrono::seconds time) {
  std::atomic<uint64_t> done = 0, failed = 0;
  const auto end = Clock::now() + time;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      while (Clock::now() < end) {
        auto fd = connect_to(server);
        (fd && there_and_back(fd->get()) ? done : failed) += 1;
      }
    });
  for (auto& thread : threads) thread.join();
  std::printf("%.0f %llu\n", static_cast<double>(done) / static_cast<double>(time.count()),
              static_cast<unsigned long long>(failed));
  return {};
}

Result<> measure_latency(const Endpoint& server, size_t count, std::chrono::seconds time) {
  MSB_TRY(auto reactor, Reactor::create());
  struct Client {
    Fd fd;
    Reactor::Watch watch;
    Clock::time_point sent;
  };
  std::vector<Client> clients(count);
  std::vector<double> times;
  const auto end = Clock::now() + time;
  const auto send = [](Client& client) {
    const uint8_t byte = 1;
    client.sent = Clock::now();
    (void)::send(client.fd.get(), &byte, 1, MSG_NOSIGNAL);
  };
  for (Client& client : clients) {
    MSB_TRY(client.fd, connect_to(server));
    MSB_CHECK(set_blocking(client.fd.get(), Blocking::no));
    MSB_TRY(client.watch, reactor->watch(client.fd.get(), EPOLLIN, [&, at = &client](uint32_t) {
      uint8_t byte;
      if (::recv(at->fd.get(), &byte, 1, 0) != 1) return at->watch.reset();
      const auto now = Clock::now();
      times.push_back(std::chrono::duration<double, std::micro>(now - at->sent).count());
      if (now >= end) return reactor->stop();
      send(*at);
    }));
  }
  for (Client& client : clients) send(client);
  const auto begin = Clock::now();
  MSB_CHECK(reactor->run());
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  std::ranges::sort(times);
  std::printf("%.1f %.1f %.0f\n", times[times.size() / 2], times[times.size() * 99 / 100],
              static_cast<double>(times.size()) / seconds);
  return {};
}

int number(std::string_view text) {
  int value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Result<> run(const std::vector<std::string>& words) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  if (words.size() == 1 && words[0] == "stack") return run_stack();
  if (words.size() == 2 && words[0] == "serve") return run_server(static_cast<uint16_t>(number(words[1])));
  if (words.size() < 4) return fail(ErrorKind::invalid_config, "usage: see bench/net_bench.cc");
  MSB_TRY(const Ip ip, Ip::parse(words[1]));
  const Endpoint server{ip, static_cast<uint16_t>(number(words[2]))};
  const std::chrono::seconds time(number(words.back()));
  if (words[0] == "connects") return measure_connects(server, time);
  return measure_latency(server, static_cast<size_t>(number(words[3])), time);
}

}  // namespace

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  auto ran = run({argv + 1, argv + argc});
  if (ran) return 0;
  std::fprintf(stderr, "net_bench: %s\n", ran.error().to_string().c_str());
  return 1;
}
