#include "vmm/kvm.h"

#include <cstdio>

#include "kvm/kvm_process.h"
#include "vmm/machine_end.h"

namespace msb::vmm {
namespace {

class Kvm final : public Machine {
 public:
  Kvm(std::unique_ptr<MachineGroup> group, std::unique_ptr<Network> network, std::unique_ptr<kvm::KvmProcess> machine)
      : group_(std::move(group)), network_(std::move(network)), machine_(std::move(machine)) {}
  int agent_fd() const override { return machine_->agent_fd(); }
  int console_fd() const override { return machine_->console_fd(); }
  std::string name() const override { return "kvm"; }
  std::string isolation() const override { return "hardware"; }
  std::vector<Wall> walls() const override {
    std::vector<Wall> walls{{"vm", true, "KVM, the processor's virtualisation"}};
    add_walls(walls, machine_->walls());
    for (const auto& name : machine_->inner_walls()) walls.push_back({name, true, ""});
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
  std::unique_ptr<kvm::KvmProcess> machine_;
};

}  // namespace

Result<std::unique_ptr<Machine>> build_kvm_machine(Reactor& reactor, const state::LaunchConfig& config,
                                                   const std::string& program, std::unique_ptr<MachineGroup> group,
                                                   std::unique_ptr<Network> network, ExitHandler on_exit) {
  kvm::MachineObserver observer;
  observer.on_exit = [on_exit = std::move(on_exit)](const kvm::MachineExit& exit) {
    MachineEnd end = to_machine_end(exit);
    end.details = exit.registers;
    on_exit(end);
  };
  // Standard error is the sandbox's runtime log.
  observer.on_warning = [](const std::string& line) { std::fprintf(stderr, "msb-kvm: %s\n", line.c_str()); };
  kvm::MachineOptions options;
  options.program = program;
  options.cgroup = group->seat();
  if (network) options.network_socket = network->machine_end();
  MSB_TRY(auto machine, kvm::KvmProcess::start(reactor, config.machine, std::move(observer), options));
  if (network) MSB_CHECK(network->serve(reactor));
  return std::make_unique<Kvm>(std::move(group), std::move(network), std::move(machine));
}

}  // namespace msb::vmm
