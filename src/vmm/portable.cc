#include "vmm/portable.h"

#include <cstdio>

#include "qemu/image_lock.h"
#include "qemu/portable_machine.h"
#include "state/home.h"
#include "vmm/machine_end.h"
#include "vmm/shares.h"

namespace msb::vmm {
namespace {

class Portable final : public Machine {
 public:
  Portable(std::unique_ptr<MachineGroup> group, std::unique_ptr<Network> network)
      : group_(std::move(group)), network_(std::move(network)) {}

  // Once each, in this order.
  Result<> start(Reactor& reactor, const state::LaunchConfig& config, const qemu::QemuProgram& program,
                 ExitHandler on_exit);
  Result<> serve(Reactor& reactor, std::vector<fs::Share> shares);

  int agent_fd() const override { return machine_->agent_fd(); }
  int console_fd() const override { return machine_->console_fd(); }
  std::string name() const override { return "portable"; }
  std::string isolation() const override { return "process"; }
  std::vector<Wall> walls() const override {
    std::vector<Wall> walls{
        {"vm", true, cat("QEMU ", machine_->program().version.to_string(), ", software emulation")}};
    add_walls(walls, machine_->walls());
    if (shares_) add_walls(walls, shares_->walls(), "share-");
    if (network_) add_walls(walls, network_->walls(), "network-");
    return walls;
  }
  const Network* network() const override { return network_.get(); }
  pid_t pid() const override { return machine_->pid(); }
  void measure_disks(disk::TrafficReply reply) override { machine_->measure_disks(std::move(reply)); }
  void kill() override { machine_->kill(); }

 private:
  std::unique_ptr<MachineGroup> group_;
  std::unique_ptr<Network> network_;
  SocketPair share_sockets_;  // the share device's end, and until QEMU has it, QEMU's
  std::unique_ptr<qemu::PortableMachine> machine_;
  std::unique_ptr<Shares> shares_;
  std::optional<Error> broken_;  // what QEMU was killed for
};

Result<> Portable::start(Reactor& reactor, const state::LaunchConfig& config, const qemu::QemuProgram& program,
                         ExitHandler on_exit) {
  qemu::MachineObserver observer;
  observer.on_exit = [this, on_exit = std::move(on_exit)](const qemu::MachineExit& exit) {
    MachineEnd end = to_machine_end(exit);
    if (broken_) {
      end.cause = MachineEnd::Cause::failed;
      end.message = cat("QEMU was ended: ", broken_->to_string());
    }
    on_exit(end);
  };
  qemu::MachineOptions options;
  options.cgroup = group_->seat();
  if (!config.machine.shares.empty()) {
    MSB_TRY(share_sockets_, make_socket_pair());
    options.share_socket = share_sockets_.second.get();
  }
  if (network_) options.network_socket = network_->machine_end();
  MSB_TRY(machine_, qemu::PortableMachine::start(reactor, config.machine, program, std::move(observer), options));
  share_sockets_.second.reset();
  if (network_) return network_->serve(reactor);
  return {};
}

Result<> Portable::serve(Reactor& reactor, std::vector<fs::Share> shares) {
  MSB_TRY(shares_,
          Shares::serve(reactor, std::move(shares), std::move(share_sockets_.first), [this](const Error& error) {
            broken_ = error;
            machine_->kill();
          }));
  return {};
}

// The disks that are the sandbox's alone may still belong to its last machine, if somebody killed the process that
// watched it. Others may be in use for good, which QEMU says.
Result<> wait_for_last_machine(const std::string& own_directory, const state::MachineSpec& spec) {
  for (const auto& disk : spec.disks)
    if (!disk.read_only && !disk.scratch && disk.files[0].starts_with(own_directory + "/"))
      MSB_CHECK(qemu::wait_for_release(disk.files[0], [&] {
        std::fprintf(stderr, "waiting for the last machine that had %s\n", disk.files[0].c_str());
      }));
  return {};
}

}  // namespace

Result<std::unique_ptr<Machine>> build_portable_machine(Reactor& reactor, const state::LaunchConfig& config,
                                                        std::unique_ptr<MachineGroup> group,
                                                        std::unique_ptr<Network> network, ExitHandler on_exit) {
  MSB_TRY(auto home, state::Home::at(config.home));
  qemu::QemuSearch search;
  search.cache_file = home.qemu_probe();
  search.extra_dirs = {home.path() + "/qemu/bin"};
  MSB_TRY(auto program, qemu::find_qemu(search));
  MSB_TRY(auto shares, open_shares(config.machine.shares));
  MSB_CHECK(wait_for_last_machine(home.sandbox_dir(config.name), config.machine));
  auto machine = std::make_unique<Portable>(std::move(group), std::move(network));
  MSB_CHECK(machine->start(reactor, config, program, std::move(on_exit)));
  if (!shares.empty()) MSB_CHECK(machine->serve(reactor, std::move(shares)));
  return machine;
}

}  // namespace msb::vmm
