// Supervisor: one sandbox's life, from a launch configuration to the last entry in the database.
//
//   booting ── core.ready ──> running ── somebody wants it to stop ──> draining ──> ended
//      └── failure, deadline, signal ───────────────────────────────────────────────┘
//
// Everything that ends a sandbox meets in two places: shut_down(), which asks the guest and sets a limit,
// and the machine's exit, which is the only way out. The first reason given is the one recorded.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/reactor.h"
#include "fence/walls.h"
#include "state/home.h"
#include "vmm/agent_channel.h"
#include "vmm/boot.h"
#include "vmm/console.h"
#include "vmm/machine.h"
#include "vmm/meter.h"
#include "vmm/network.h"
#include "vmm/relay.h"
#include "vmm/run_record.h"
#include "vmm/runtime_log.h"

namespace msb::vmm {

struct SupervisorInput {
  state::LaunchConfig config;
  Fd startup;       // where the StartupReport goes; may be empty
  Fd parent_watch;  // may be empty
  MachineFactory factory;
  // Raises the walls round this process (restraint.h), once the machine runs and before anything of the guest is read.
  // May be empty.
  std::function<Result<fence::WallReports>()> restrain = {};
};

class Supervisor {
 public:
  static Result<std::unique_ptr<Supervisor>> create(SupervisorInput input);

  // Runs the sandbox to its end and records it. 0 when it came up and ended in good order.
  int run();

 private:
  enum class Phase { booting, running, draining, ended };

  Supervisor(SupervisorInput input, state::Home home, std::unique_ptr<Reactor> reactor, RuntimeLog log,
             ExecLog exec_log);
  Result<> start();
  Result<> watch_parent();
  Result<> restrain();
  std::vector<Wall> walls() const;
  void on_frame(ByteView raw);
  void on_channel_lost(const Error& error);
  void on_signal(int signal);
  void on_activity();
  void on_startup_frame(ByteView raw);
  void on_machine_end(const MachineEnd& end);

  void become_ready(ByteView raw_ready);
  void start_command();
  void fail_boot(BootProblem problem);
  void shut_down(std::string reason, uint32_t grace_ms);
  // The reason of the end, unless there is one already.
  void note_end(SandboxStatus status, std::string reason);
  void sync_clock();
  void send_report(const state::StartupReport& report);
  void finish();

  // Order of members is order of life.
  SupervisorInput input_;
  const state::LaunchConfig& config_;
  state::Home home_;
  std::unique_ptr<Reactor> reactor_;
  RuntimeLog log_;
  ExecLog exec_log_;
  RunRecord record_;
  Phase phase_ = Phase::booting;
  std::optional<BootProblem> boot_problem_;
  std::optional<state::EndFacts> end_;
  std::optional<int> exit_code_;
  fence::WallReports own_walls_;
  std::unique_ptr<Machine> machine_;
  bool machine_alive_ = false;
  std::unique_ptr<Meter> meter_;
  std::unique_ptr<Console> console_;
  std::unique_ptr<AgentChannel> channel_;
  std::unique_ptr<Relay> relay_;
  std::unique_ptr<SignalWatch> signals_;
  Reactor::Watch parent_watch_;
  std::unique_ptr<Timer> boot_deadline_;
  std::unique_ptr<Timer> kill_timer_;
  std::unique_ptr<Timer> max_duration_;
  std::unique_ptr<Timer> idle_timer_;
  std::unique_ptr<Timer> clock_timer_;
};

}  // namespace msb::vmm
