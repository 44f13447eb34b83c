#include "vmm/supervisor.h"

#include <unistd.h>

#include <csignal>
#include <ctime>

namespace msb::vmm {
namespace {

using namespace std::chrono_literals;

// Between TERM and KILL for the guest's processes, where nobody says otherwise.
constexpr uint32_t kGraceMs = 2000;
// For syncing, unmounting and powering off after the grace, before the machine is killed.
constexpr auto kFlushTime = 5s;
// Longest grace a client may ask for.
constexpr uint32_t kMaxGraceMs = 3'600'000;
constexpr auto kClockSyncInterval = 60s;

uint64_t unix_nanos() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

std::vector<std::string> port_texts(const Network* network) {
  std::vector<std::string> texts;
  if (network)
    for (const auto& port : network->ports()) texts.push_back(port.to_string());
  return texts;
}

// What a shell would report for a command that never ran.
int shell_code(std::string_view failure) {
  if (failure == "not_found") return 127;
  if (failure == "permission_denied" || failure == "not_executable") return 126;
  return 125;
}

}  // namespace

Result<std::unique_ptr<Supervisor>> Supervisor::create(SupervisorInput input) {
  MSB_TRY(auto home, state::Home::at(input.config.home));
  const std::string& name = input.config.name;
  MSB_CHECK(home.make_dir(home.sandbox_logs_dir(name)));
  MSB_TRY(auto reactor, Reactor::create());
  MSB_TRY(auto runtime, state::LogWriter::open(home.runtime_log(name)));
  MSB_TRY(auto exec, state::LogWriter::open(home.exec_log(name)));
  return std::unique_ptr<Supervisor>(new Supervisor(std::move(input), std::move(home), std::move(reactor),
                                                    RuntimeLog(std::move(runtime)), ExecLog(std::move(exec))));
}

Supervisor::Supervisor(SupervisorInput input, state::Home home, std::unique_ptr<Reactor> reactor, RuntimeLog log,
                       ExecLog exec_log)
    : input_(std::move(input)),
      config_(input_.config),
      home_(std::move(home)),
      reactor_(std::move(reactor)),
      log_(std::move(log)),
      exec_log_(std::move(exec_log)),
      record_(home_, config_, log_) {}

int Supervisor::run() {
  if (auto started = start(); !started) fail_boot(judge_build_error(started.error()));
  // After the machine's start, which takes longer than anything here.
  if (phase_ != Phase::ended) record_.began();
  if (auto restrained = restrain(); !restrained && phase_ != Phase::ended)
    fail_boot(judge_build_error(restrained.error()));
  while (phase_ != Phase::ended || machine_alive_) {
    if (auto turn = reactor_->run_once(); !turn) {
      log_.error(turn.error().to_string());
      note_end(SandboxStatus::crashed, "internal_error");
      break;
    }
  }
  finish();
  return boot_problem_ || end_->status == SandboxStatus::crashed ? 1 : 0;
}

Result<> Supervisor::start() {
  MSB_TRY(signals_,
          SignalWatch::create(*reactor_, {SIGTERM, SIGINT, SIGHUP}, [this](int number) { on_signal(number); }));
  MSB_TRY(kill_timer_, Timer::create(*reactor_, [this] {
            log_.warn("the guest did not end in time: killed");
            machine_->kill();
          }));
  MSB_TRY(boot_deadline_,
          Timer::create(*reactor_, [this] { fail_boot(judge_deadline(*console_, config_.boot_deadline_ms)); }));
  MSB_TRY(max_duration_, Timer::create(*reactor_, [this] { shut_down("max_duration", kGraceMs); }));
  MSB_TRY(idle_timer_, Timer::create(*reactor_, [this] { shut_down("idle_timeout", kGraceMs); }));
  MSB_TRY(clock_timer_, Timer::create(*reactor_, [this] { sync_clock(); }));
  MSB_TRY(auto kernel_log, state::LogWriter::open(home_.kernel_log(config_.name)));

  MSB_TRY(machine_, input_.factory(*reactor_, config_, [this](const MachineEnd& end) { on_machine_end(end); }));
  machine_alive_ = true;
  MSB_TRY(meter_,
          Meter::create(*machine_, [this](const wire::MachineMeasured& measured) { relay_->measured(measured); }));
  MSB_TRY(console_, Console::create(*reactor_, machine_->console_fd(), std::move(kernel_log)));
  console_->on_halt([this] {
    if (phase_ == Phase::ended) return;
    if (!end_) exec_log_.system("the guest halted");
    note_end(SandboxStatus::stopped, "guest_reset");
    machine_->kill();
  });
  MSB_TRY(channel_, AgentChannel::create(*reactor_, machine_->agent_fd(),
                                         {.on_frame = [this](ByteView raw) { on_frame(raw); },
                                          .on_lost = [this](const Error& error) { on_channel_lost(error); },
                                          .on_drained = [this] { relay_->on_agent_drained(); }}));
  relay_ = std::make_unique<Relay>(
      *reactor_, *channel_, exec_log_,
      Relay::Observer{.on_shutdown_request = [this](uint32_t grace_ms) { shut_down("shutdown_requested", grace_ms); },
                      .on_activity = [this] { on_activity(); },
                      .on_measure = [this] { meter_->measure(); }});
  MSB_CHECK(boot_deadline_->arm(std::chrono::milliseconds(config_.boot_deadline_ms)));
  MSB_TRY(Bytes bootstrap, bootstrap_frame(config_, machine_->network(), unix_nanos()));
  channel_->send(bootstrap);
  return watch_parent();
}

Result<> Supervisor::restrain() {
  if (!input_.restrain) return {};
  MSB_TRY(own_walls_, input_.restrain());
  return {};
}

std::vector<Wall> Supervisor::walls() const {
  auto walls = machine_->walls();
  for (const auto& report : own_walls_)
    walls.push_back({cat("vmm-", fence::wall_name(report.wall)), report.up, report.reason});
  return walls;
}

Result<> Supervisor::watch_parent() {
  if (!input_.parent_watch) return {};
  MSB_CHECK(set_blocking(input_.parent_watch.get(), Blocking::no));
  MSB_TRY(parent_watch_, reactor_->watch(input_.parent_watch.get(), EPOLLIN, [this](uint32_t) {
    uint8_t byte = 0;
    auto count = read_some(input_.parent_watch.get(), {&byte, 1});
    if (!count && count.error().errnum() == EAGAIN) return;
    parent_watch_.reset();
    if (count && *count == 1 && byte == 1) return;  // detached: nobody to watch any more
    log_.info("the process that started the sandbox has ended");
    shut_down("shutdown_requested", kGraceMs);
  }));
  return {};
}

// ---- what happens --------------------------------------------------------------------

void Supervisor::on_frame(ByteView raw) {
  if (phase_ != Phase::booting) return relay_->from_agent(raw);
  if (auto problem = judge_boot_frame(raw)) return fail_boot(std::move(*problem));
  become_ready(raw);
}

void Supervisor::on_channel_lost(const Error& error) {
  if (phase_ == Phase::ended) return;
  if (error.kind() == ErrorKind::protocol) {
    // A guest that breaks the format is not asked to shut down: nothing it says would be understood.
    log_.error(cat("the guest broke the agent protocol: ", error.to_string()));
    if (phase_ == Phase::booting)
      return fail_boot({"agent", cat("the guest broke the agent protocol: ", error.message()), "", 0});
    exec_log_.system("the guest broke the agent protocol; the sandbox was ended");
    note_end(SandboxStatus::crashed, "internal_error");
    machine_->kill();
    return;
  }
  // The machine is ending; its exit says why. The timer covers one that does not.
  (void)kill_timer_->arm(kFlushTime);
}

void Supervisor::on_signal(int number) {
  // Asked again: no more patience.
  if (phase_ == Phase::draining) {
    if (machine_alive_) machine_->kill();
    return;
  }
  log_.info(cat("signal ", number));
  shut_down("signal", kGraceMs);
}

void Supervisor::on_activity() {
  if (phase_ != Phase::running || config_.idle_timeout_ms == 0) return;
  if (relay_->sessions() > 0) {
    idle_timer_->disarm();
  } else {
    (void)idle_timer_->arm(std::chrono::milliseconds(config_.idle_timeout_ms));
  }
}

void Supervisor::on_machine_end(const MachineEnd& end) {
  machine_alive_ = false;
  if (console_) console_->drain();
  if (!end.details.empty()) log_.error(end.details);
  if (phase_ == Phase::ended) return;
  if (phase_ == Phase::booting) return fail_boot(judge_boot_end(end, *console_, config_.machine.memory_mib));
  phase_ = Phase::ended;
  using Cause = MachineEnd::Cause;
  if (end.cause == Cause::killed || end.cause == Cause::failed) {
    log_.error(end.message);
    exec_log_.system(end.message);
    note_end(SandboxStatus::crashed, end.cause == Cause::killed ? "killed" : "internal_error");
  } else if (console_->panicked()) {
    exec_log_.system(cat("the guest's kernel panicked: ", console_->panic_line()));
    note_end(SandboxStatus::crashed, "guest_panic");
  } else if (end.cause == Cause::guest) {
    if (!end_) exec_log_.system("the guest ended by itself");
    note_end(console_->powered_off() ? SandboxStatus::stopped : SandboxStatus::crashed, "guest_reset");
  } else {
    note_end(SandboxStatus::stopped, "killed");
  }
}

// ---- what is done about it -----------------------------------------------------------

void Supervisor::become_ready(ByteView raw_ready) {
  boot_deadline_->disarm();
  relay_->set_ready(raw_ready);
  if (auto listening = relay_->listen(home_, config_.name); !listening)
    return fail_boot(judge_build_error(listening.error()));
  phase_ = Phase::running;
  record_.running({.pid = ::getpid(),
                   .machine = machine_->name(),
                   .isolation = machine_->isolation(),
                   .walls = walls(),
                   .ports = port_texts(machine_->network())});
  exec_log_.system("the sandbox is running");
  if (config_.max_duration_ms > 0) (void)max_duration_->arm(std::chrono::milliseconds(config_.max_duration_ms));
  (void)clock_timer_->arm(kClockSyncInterval);

  state::StartupReport report;
  report.ready = true;
  report.machine = machine_->name();
  report.isolation = machine_->isolation();
  send_report(report);
  start_command();
  on_activity();
}

void Supervisor::start_command() {
  if (!config_.startup || config_.startup->argv.empty()) return;
  const auto& argv = config_.startup->argv;
  wire::ExecRequest request;
  request.cmd = argv.front();
  request.args.assign(argv.begin() + 1, argv.end());
  request.stdin_open = false;
  // No window: what it writes is taken at once, logged and dropped.
  relay_->start_internal(request, [this](ByteView raw) { on_startup_frame(raw); });
}

void Supervisor::on_startup_frame(ByteView raw) {
  if (exit_code_) return;  // it ends once; a guest that says so again writes no more lines
  auto envelope = wire::open_envelope(wire::frame_body(raw));
  if (!envelope) return;
  if (envelope->type == wire::ExecExited::kType) {
    auto exited = wire::decode<wire::ExecExited>(envelope->payload);
    if (!exited) return;
    exit_code_ = exited->code;
    exec_log_.system(cat("the command exited with code ", exited->code));
    if (exited->code == 0 && config_.startup->keep_after_success) return;
  } else if (envelope->type == wire::ExecFailed::kType) {
    auto failed = wire::decode<wire::ExecFailed>(envelope->payload);
    if (!failed) return;
    exit_code_ = shell_code(failed->kind);
    exec_log_.system(cat("the command could not be started: ", failed->message.substr(0, 4096)));
  } else if (envelope->type == wire::ProtocolError::kType) {
    exit_code_ = 125;
    exec_log_.system("the agent refused the command");
  } else {
    return;
  }
  shut_down("completed", kGraceMs);
}

void Supervisor::fail_boot(BootProblem problem) {
  if (phase_ == Phase::ended) return;
  phase_ = Phase::ended;
  log_.error(cat("boot failed (", problem.stage, "): ", problem.message));
  boot_problem_ = std::move(problem);
  note_end(SandboxStatus::crashed, "boot_failed");
  if (machine_alive_) machine_->kill();
}

void Supervisor::shut_down(std::string reason, uint32_t grace_ms) {
  if (phase_ == Phase::ended || phase_ == Phase::draining) return;
  if (phase_ == Phase::booting) return fail_boot({"other", "the sandbox was stopped while it booted", "", 0});
  phase_ = Phase::draining;
  note_end(SandboxStatus::stopped, std::move(reason));
  grace_ms = std::min(grace_ms, kMaxGraceMs);
  channel_->send(wire::make_frame(0, wire::kFlagShutdown, wire::Shutdown{.grace_ms = grace_ms}));
  (void)kill_timer_->arm(std::chrono::milliseconds(grace_ms) + kFlushTime);
  idle_timer_->disarm();
  max_duration_->disarm();
  relay_->stop_listening();
  record_.draining();
}

void Supervisor::note_end(SandboxStatus status, std::string reason) {
  if (!end_) end_ = state::EndFacts{.status = status, .termination_reason = std::move(reason), .exit_code = {}};
}

void Supervisor::sync_clock() {
  channel_->send(wire::make_frame(0, 0, wire::ClockSync{unix_nanos()}));
  (void)clock_timer_->arm(kClockSyncInterval);
}

void Supervisor::send_report(const state::StartupReport& report) {
  if (!input_.startup) return;
  // The reader may be gone, which the parent watch deals with.
  (void)write_full(input_.startup.get(), as_bytes(report.to_json() + "\n"));
  input_.startup.reset();
}

void Supervisor::finish() {
  if (relay_) relay_->stop_listening();
  if (boot_problem_) {
    auto report = failure_report(*boot_problem_, console_ ? console_->last_lines() : std::vector<std::string>());
    record_.boot_failed(report);
    end_->exit_code = exit_code_;
    record_.ended(*end_);
    // Last, so that whoever reads it finds everything recorded.
    send_report(report);
    return;
  }
  end_->exit_code = exit_code_;
  exec_log_.system(cat("the sandbox has ended: ", end_->termination_reason));
  record_.ended(*end_);
}

}  // namespace msb::vmm
