#include "vmm/portable.h"

#include "qemu/portable_machine.h"
#include "state/home.h"
#include "vmm/machine_end.h"

namespace msb::vmm {
namespace {

class Portable final : public Machine {
 public:
  Portable(std::unique_ptr<MachineGroup> group, std::unique_ptr<qemu::PortableMachine> machine)
      : group_(std::move(group)), machine_(std::move(machine)) {}
  int agent_fd() const override { return machine_->agent_fd(); }
  int console_fd() const override { return machine_->console_fd(); }
  std::string name() const override { return "portable"; }
  std::string isolation() const override { return "process"; }
  std::vector<Wall> walls() const override {
    std::vector<Wall> walls{
        {"vm", true, cat("QEMU ", machine_->program().version.to_string(), ", software emulation")}};
    add_walls(walls, machine_->walls());
    return walls;
  }
  void kill() override { machine_->kill(); }

 private:
  std::unique_ptr<MachineGroup> group_;
  std::unique_ptr<qemu::PortableMachine> machine_;
};

}  // namespace

Result<std::unique_ptr<Machine>> build_portable_machine(Reactor& reactor, const state::LaunchConfig& config,
                                                        std::unique_ptr<MachineGroup> group, ExitHandler on_exit) {
  MSB_TRY(auto home, state::Home::at(config.home));
  qemu::QemuSearch search;
  search.cache_file = home.qemu_probe();
  search.extra_dirs = {home.path() + "/qemu/bin"};
  MSB_TRY(auto program, qemu::find_qemu(search));
  qemu::MachineObserver observer;
  observer.on_exit = [on_exit = std::move(on_exit)](const qemu::MachineExit& exit) { on_exit(to_machine_end(exit)); };
  qemu::MachineOptions options;
  options.cgroup = group->seat();
  MSB_TRY(auto machine, qemu::PortableMachine::start(reactor, config.machine, program, std::move(observer), options));
  return std::make_unique<Portable>(std::move(group), std::move(machine));
}

}  // namespace msb::vmm
