// GatewayThread: a Gateway on a thread whose host is a network namespace of its own, HostNamespace. Servers and clients
// of that host are sockets made by host_socket(), used from any thread.
#pragma once

#include <sys/socket.h>

#include <future>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "base/mailbox.h"
#include "net/gateway.h"
#include "net/testing/host_namespace.h"

namespace msb::net::testing {

class GatewayThread {
 public:
  // What a test has on the host beside the gateway.
  struct Beside {
    std::vector<BoundPort> ports = {};
    std::shared_ptr<void> server = {};  // lives on the gateway's reactor
    std::optional<UpstreamProxy> proxy = {};
  };
  // Runs on the thread before the gateway is made.
  using Prepare = std::function<Beside(Reactor&, NetworkConfig&)>;
  GatewayThread(Fd link, NetworkConfig config, const LinkConfig& addresses, Prepare prepare,
                HostNamespace::Families host = HostNamespace::Families::both) {
    std::promise<void> ready;
    thread_ = std::thread([&, this] {
      if (auto entered = HostNamespace::enter(host); !entered) throw std::runtime_error(entered.error().to_string());
      reactor_ = Reactor::create().value();
      mailbox_ = Mailbox::create(*reactor_).value();
      Gateway::Hooks hooks;
      hooks.on_denial = [this](const DenialEvent& event) {
        std::lock_guard lock(mutex_);
        denials_.push_back(event);
      };
      hooks.proxy_trouble = [this](const Error& trouble) {
        std::lock_guard lock(mutex_);
        troubles_.push_back(trouble.message());
      };
      Beside beside = prepare(*reactor_, config);
      for (const auto& port : beside.ports) ports_.push_back(port.binding);
      gateway_ = Gateway::create(*reactor_, std::move(link), config, addresses,
                                 {std::move(beside.ports), std::move(beside.proxy)}, hooks)
                     .value();
      ready.set_value();
      (void)reactor_->run();
      gateway_.reset();
      beside.server.reset();
    });
    ready.get_future().wait();
  }
  ~GatewayThread() {
    mailbox_->run([this] { reactor_->stop(); });
    thread_.join();
  }
  GatewayThread(const GatewayThread&) = delete;
  GatewayThread& operator=(const GatewayThread&) = delete;

  Fd host_socket(int family, int type) {
    Fd made;
    mailbox_->run([&] { made = Fd(::socket(family, type | SOCK_CLOEXEC, 0)); });
    return made;
  }
  GatewayCounters counters() {
    GatewayCounters counters;
    mailbox_->run([&] { counters = gateway_->counters(); });
    return counters;
  }
  uint32_t connections() { return counters().connections; }
  std::vector<DenialEvent> denials() {
    std::lock_guard lock(mutex_);
    return denials_;
  }
  // What was told of the proxy.
  std::vector<std::string> troubles() {
    std::lock_guard lock(mutex_);
    return troubles_;
  }
  const std::vector<PortBinding>& ports() const { return ports_; }

 private:
  std::mutex mutex_;
  std::vector<DenialEvent> denials_;
  std::vector<std::string> troubles_;
  std::vector<PortBinding> ports_;
  std::unique_ptr<Reactor> reactor_;
  std::unique_ptr<Mailbox> mailbox_;
  std::unique_ptr<Gateway> gateway_;
  std::thread thread_;
};

}  // namespace msb::net::testing
