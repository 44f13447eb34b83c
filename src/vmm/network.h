// Network: the network of this sandbox's guest, on a thread of its own behind walls of its own (network_restraint.cc):
// it may make connections of the host, and open no file but what names the host's name servers; the rest of this
// process may do neither.
//
//   MSB_TRY(auto network, Network::prepare(home, config, net::Frames::bare));   // binds the published ports: a taken
//   one is told before boot
//   ... start the machine with network->machine_end() ...
//   MSB_CHECK(network->serve());
//
// What was refused is in logs/network.log, a line of JSON each (docs/network.md), bounded as all logs are.
#pragma once

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <microsandbox/sandbox.h>

#include "base/mailbox.h"
#include "fence/seccomp_filter.h"
#include "fence/walls.h"
#include "net/gateway.h"
#include "state/home.h"
#include "state/launch_config.h"

namespace msb::vmm {

class Network {
 public:
  // nullptr when the sandbox has none. network_policy: a port that cannot be bound, a rule that makes no sense.
  static Result<std::unique_ptr<Network>> prepare(const state::Home& home, const state::LaunchConfig& config,
                                                  net::Frames frames);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // The machine's end of the cable: a descriptor that is this object's until serve().
  int machine_end() const { return cable_.second.get(); }
  // Published, with the ports the host has chosen.
  const std::vector<PortBinding>& ports() const { return ports_; }

  // The largest packet in one frame, in bytes; depends on the machine.
  uint16_t mtu() const { return spec_.mtu; }

  // Starts the thread, with the walls round it; the machine has its end by now. `reactor` is the caller's, and outlives
  // this.
  Result<> serve(Reactor& reactor);
  const fence::WallReports& walls() const { return walls_; }
  // Asks the thread; `reply` runs on the reactor that serve() was given, and not any more once this is gone.
  void measure(std::function<void(const net::GatewayCounters&)> reply) const;

 private:
  Network() = default;
  Result<> run(const std::function<void(Result<>)>& started);

  state::NetworkSpec spec_;
  net::Frames frames_ = net::Frames::with_header;
  std::string log_path_;
  SocketPair cable_;
  std::vector<net::BoundPort> bound_;
  std::vector<PortBinding> ports_;
  fence::WallReports walls_;
  std::unique_ptr<Reactor> reactor_;  // the thread's
  std::unique_ptr<Mailbox> mailbox_;  // to the thread
  std::unique_ptr<Mailbox> replies_;  // and back
  net::Gateway* gateway_ = nullptr;   // the thread's
  std::thread thread_;
};

// What the thread may call (for tests and documentation).
fence::SeccompPolicy network_system_calls();
// Raises the walls round the calling thread, for good. `logs`: the directory it may write its log in.
Result<fence::WallReports> restrain_network_thread(const std::string& logs);

}  // namespace msb::vmm
