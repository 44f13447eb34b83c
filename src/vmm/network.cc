#include "vmm/network.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <future>
#include <system_error>

#include "vmm/network_log.h"

namespace msb::vmm {
namespace {

// Frames under way from the machine, in bytes; the kernel gives no more than net.core.wmem_max.
constexpr int kCableBuffer = 1 << 20;
// Bare frames are cut by nobody: the larger, the fewer. As much as a packet can have, in whole words.
constexpr uint16_t kBareMtu = 65520;

Result<std::optional<net::LinkAddresses>> addresses_of(const std::optional<state::LinkSpec>& spec) {
  if (!spec) return std::nullopt;
  MSB_TRY(net::Ip gateway, net::Ip::parse(spec->gateway));
  MSB_TRY(net::Ip guest, net::Ip::parse(spec->guest));
  return net::LinkAddresses{gateway, guest, spec->prefix};
}

Result<net::LinkConfig> link_of(const state::NetworkSpec& spec) {
  net::LinkConfig link;
  MSB_TRY(link.gateway_mac, net::Mac::parse(spec.gateway_mac));
  MSB_TRY(link.guest_mac, net::Mac::parse(spec.guest_mac));
  MSB_TRY(link.v4, addresses_of(spec.v4));
  MSB_TRY(link.v6, addresses_of(spec.v6));
  link.mtu = spec.mtu;
  return link;
}

Result<std::optional<net::UpstreamProxy>> proxy_of(const std::optional<state::ProxySpec>& spec) {
  if (!spec) return std::nullopt;
  MSB_TRY(auto url, state::ProxyUrl::parse(spec->url));
  net::UpstreamProxy proxy{
      .url = std::move(url), .addresses = {}, .exceptions = net::ProxyExceptions::parse(spec->exceptions)};
  for (const std::string& text : spec->addresses) {
    MSB_TRY(const net::Ip ip, net::Ip::parse(text));
    proxy.addresses.push_back({ip, proxy.url.port});
  }
  return proxy;
}

// A socket for each connection and session, on top of what the process has without a network; and a deadline for each
// connection that a proxy is still making.
void make_room_for(const state::NetworkSpec& spec) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  const rlim_t connections = rlim_t{spec.config.max_connections} * (spec.proxy ? 2 : 1);
  const rlim_t more = connections + net::UdpSessions::kMaximum + net::PingSessions::kMaximum;
  files.rlim_cur = std::min(files.rlim_max, files.rlim_cur + more);
  ::setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace

Result<std::unique_ptr<Network>> Network::prepare(const state::Home& home, const state::LaunchConfig& config,
                                                  net::Frames frames) {
  if (!config.machine.network) return nullptr;
  std::unique_ptr<Network> network(new Network);
  network->spec_ = *config.machine.network;
  network->frames_ = frames;
  if (frames == net::Frames::bare) network->spec_.mtu = kBareMtu;
  network->log_path_ = home.network_log(config.name);
  MSB_TRY(network->cable_, make_socket_pair(SocketKind::messages));
  // The machine may not say so itself. net::FrameLink does for its end.
  ::setsockopt(network->machine_end(), SOL_SOCKET, SO_SNDBUF, &kCableBuffer, sizeof(kCableBuffer));
  auto bound = net::bind_ports(network->spec_.config.ports);
  if (!bound) return fail(std::move(bound).error().as(ErrorKind::network_policy));
  for (const auto& port : *bound) network->ports_.push_back(port.binding);
  network->bound_ = std::move(*bound);
  make_room_for(network->spec_);
  return network;
}

Result<> Network::serve(Reactor& reactor) {
  MSB_TRY(replies_, Mailbox::create(reactor));
  cable_.second.reset();
  std::promise<Result<>> promise;
  auto started = promise.get_future();
  try {
    thread_ = std::thread([this, &promise] {
      (void)::pthread_setname_np(::pthread_self(), "network");
      bool told = false;
      auto how = run([&](Result<> ready) {
        told = true;
        promise.set_value(std::move(ready));
      });
      if (!told) promise.set_value(std::move(how));
    });
  } catch (const std::system_error& error) {
    return fail_errno("start the network's thread", error.code().value());
  }
  auto ready = started.get();
  if (!ready) thread_.join();
  return ready;
}

Result<> Network::run(const std::function<void(Result<>)>& started) {
  MSB_TRY(reactor_, Reactor::create());
  MSB_TRY(mailbox_, Mailbox::create(*reactor_));
  MSB_TRY(auto writer, state::LogWriter::open(log_path_));
  MSB_TRY(walls_, restrain_network_thread(log_path_.substr(0, log_path_.rfind('/'))));
  NetworkLog log(std::move(writer));
  net::Gateway::Hooks hooks;
  hooks.on_denial = [&log](const net::DenialEvent& event) { log.denied(event); };
  hooks.proxy_trouble = [&log](const Error& trouble) { log.trouble(trouble); };
  // The machine is ending; its exit says why.
  hooks.link_ended = [](const Error&) {};
  MSB_TRY(auto link, link_of(spec_));
  link.frames = frames_;
  net::Gateway::Outside outside{.ports = std::move(bound_)};
  MSB_TRY(outside.proxy, proxy_of(spec_.proxy));
  MSB_TRY(auto gateway, net::Gateway::create(*reactor_, std::move(cable_.first), spec_.config, link, std::move(outside),
                                             std::move(hooks)));
  gateway_ = gateway.get();
  started({});
  return reactor_->run();
}

void Network::measure(std::function<void(const net::GatewayCounters&)> reply) const {
  mailbox_->post([this, reply = std::move(reply)]() mutable {
    replies_->post([reply = std::move(reply), counters = gateway_->counters()] { reply(counters); });
  });
}

Network::~Network() {
  if (!thread_.joinable()) return;
  mailbox_->post([this] { reactor_->stop(); });
  thread_.join();
}

}  // namespace msb::vmm
