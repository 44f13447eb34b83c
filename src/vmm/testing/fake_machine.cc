#include "vmm/testing/fake_machine.h"

#include <unistd.h>

namespace msb::vmm::testing {
namespace {

class FakeMachine final : public Machine {
 public:
  FakeMachine(Fd agent, Fd console, Fd control, Fd control_writer, ExitHandler on_exit)
      : agent_(std::move(agent)),
        console_(std::move(console)),
        control_(std::move(control)),
        control_writer_(std::move(control_writer)),
        on_exit_(std::move(on_exit)) {}

  Result<> watch(Reactor& reactor) {
    MSB_CHECK(set_blocking(agent_.get(), Blocking::no));
    MSB_CHECK(set_blocking(console_.get(), Blocking::no));
    MSB_TRY(watch_, reactor.watch(control_.get(), EPOLLIN, [this](uint32_t) {
      uint8_t cause = 0;
      if (!read_some(control_.get(), {&cause, 1})) return;
      watch_.reset();
      on_exit_({.cause = static_cast<MachineEnd::Cause>(cause), .message = "it broke", .hint = "mend it"});
    }));
    return {};
  }
  int agent_fd() const override { return agent_.get(); }
  int console_fd() const override { return console_.get(); }
  std::string name() const override { return "fake"; }
  std::string isolation() const override { return "none"; }
  std::vector<Wall> walls() const override { return {{"wall", true, ""}}; }
  pid_t pid() const override { return ::getpid(); }
  void measure_disks(disk::TrafficReply reply) override { reply(disk::DiskTraffic{4096, 512}); }
  void kill() override {
    auto cause = static_cast<uint8_t>(MachineEnd::Cause::requested);
    (void)write_full(control_writer_.get(), {&cause, 1});
  }

 private:
  Fd agent_;
  Fd console_;
  Fd control_;
  Fd control_writer_;
  ExitHandler on_exit_;
  Reactor::Watch watch_;
};

}  // namespace

FakeGuest::FakeGuest() : control_(*make_pipe()) {
  auto agents = *make_socket_pair();
  agent = Peer(std::move(agents.first));
  machine_agent_ = std::move(agents.second);
  auto consoles = *make_socket_pair();
  console = std::move(consoles.first);
  machine_console_ = std::move(consoles.second);
}

void FakeGuest::end(MachineEnd::Cause cause) const {
  auto byte = static_cast<uint8_t>(cause);
  (void)write_full(control_.write.get(), {&byte, 1});
}

MachineFactory FakeGuest::factory() {
  return [this](Reactor& reactor, const state::LaunchConfig&, ExitHandler on_exit) -> Result<std::unique_ptr<Machine>> {
    MSB_TRY(Fd writer, control_.write.duplicate());
    auto machine = std::make_unique<FakeMachine>(std::move(machine_agent_), std::move(machine_console_),
                                                 std::move(control_.read), std::move(writer), std::move(on_exit));
    MSB_CHECK(machine->watch(reactor));
    return machine;
  };
}

}  // namespace msb::vmm::testing
