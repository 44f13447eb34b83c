#include "vmm/supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "base/temp_dir.h"
#include "state/log_reader.h"
#include "vmm/testing/fake_machine.h"

namespace msb::vmm {
namespace {

using testing::FakeGuest;
using testing::Peer;
using Cause = MachineEnd::Cause;
using ::testing::HasSubstr;

struct SupervisorTest : ::testing::Test {
  TempDir temp = *TempDir::create();
  state::Home home = *state::Home::at(temp.path() + "/home");
  state::Database database = *state::Database::open(home);
  FakeGuest guest;
  state::LaunchConfig config;
  Pipe startup = *make_pipe();
  Pipe parent = *make_pipe();
  MachineFactory factory = guest.factory();
  int exit_code = -1;
  std::thread thread;

  SupervisorTest() {
    ::signal(SIGPIPE, SIG_IGN);  // as the real process does
    config.name = "s";
    config.id = "id";
    config.home = home.path();
    config.machine.memory_mib = 512;
    config.machine_choice = "auto";
    wire::Bootstrap bootstrap;
    bootstrap.hostname = "h";
    config.bootstrap = wire::encode(bootstrap);
  }
  void launch() {
    state::SandboxRow row;
    row.name = "s";
    row.id = "id";
    row.status = SandboxStatus::starting;
    row.ephemeral = config.ephemeral;
    ASSERT_TRUE(state::insert_sandbox(database, row));
    thread = std::thread([this] {
      SupervisorInput input{.config = config,
                            .startup = std::move(startup.write),
                            .parent_watch = config.attached ? std::move(parent.read) : Fd(),
                            .factory = factory};
      auto supervisor = Supervisor::create(std::move(input));
      ASSERT_TRUE(supervisor) << supervisor.error().to_string();
      exit_code = (*supervisor)->run();
    });
  }
  state::StartupReport report() {
    auto text = read_all(startup.read.get(), size_t{1} << 20);
    auto parsed = state::StartupReport::from_json(std::string(as_text(*text)));
    EXPECT_TRUE(parsed);
    return parsed ? *parsed : state::StartupReport();
  }
  // Boots as far as core.ready.
  void boot() {
    launch();
    EXPECT_EQ(guest.agent.receive()->type, "core.bootstrap");
    guest.agent.send(0, wire::Ready{});
    EXPECT_TRUE(report().ready);
  }
  void expect_shutdown_then_power_off() {
    auto request = guest.agent.receive();
    ASSERT_TRUE(request);
    EXPECT_EQ(request->type, "core.shutdown");
    EXPECT_TRUE(request->flags & wire::kFlagShutdown);
    guest.print("[    1.0] reboot: Power down\r\n");
    guest.end(Cause::guest);
  }
  state::SandboxRow ended() {
    thread.join();
    return *state::get_sandbox(database, "s");
  }
  void TearDown() override {
    if (!thread.joinable()) return;
    guest.end(Cause::failed);
    thread.join();
  }
};

TEST_F(SupervisorTest, BootIsRecordedAndReported) {
  launch();
  auto bootstrap = guest.agent.receive();
  ASSERT_EQ(bootstrap->type, "core.bootstrap");
  EXPECT_EQ(bootstrap->as<wire::Bootstrap>().hostname, "h");
  EXPECT_GT(bootstrap->as<wire::Bootstrap>().unix_time_nanos, 0U);
  guest.agent.send(0, wire::Ready{});
  auto ready = report();
  EXPECT_TRUE(ready.ready);
  EXPECT_EQ(ready.machine, "fake");
  auto row = *state::get_sandbox(database, "s");
  EXPECT_EQ(row.status, SandboxStatus::running);
  EXPECT_EQ(row.pid, ::getpid());
  EXPECT_EQ(row.walls.at(0).name, "wall");
  EXPECT_GE(Peer::connect(home.relay_socket("s")).fd(), 0);
}

TEST_F(SupervisorTest, SaysWhatTheMachineUsesWhenAsked) {
  boot();
  Peer client = Peer::connect(home.relay_socket("s"));
  EXPECT_EQ(client.receive()->type, "core.ready");
  client.send(client.first(), wire::MeasureMachine{});
  auto answer = client.receive();
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->type, "core.machine.measured");
  auto measured = answer->as<wire::MachineMeasured>();
  EXPECT_EQ(measured.error, "");
  EXPECT_EQ(measured.disk_read_bytes, 4096u);
  EXPECT_GT(measured.cpu_time_ns, 0u);
  EXPECT_GT(measured.resident_bytes.value_or(0), 0u);
}

TEST_F(SupervisorTest, ShutdownRequestOfAClientEndsInGoodOrder) {
  boot();
  Peer client = Peer::connect(home.relay_socket("s"));
  EXPECT_EQ(client.receive()->type, "core.ready");
  client.send(client.first(), wire::Shutdown{.grace_ms = 10}, wire::kFlagShutdown);
  expect_shutdown_then_power_off();
  auto row = ended();
  EXPECT_EQ(row.status, SandboxStatus::stopped);
  EXPECT_EQ(row.termination_reason, "shutdown_requested");
  EXPECT_EQ(exit_code, 0);
  EXPECT_FALSE(path_exists(home.relay_socket("s")));
}

TEST_F(SupervisorTest, ParentsEndShutsAnAttachedSandboxDown) {
  config.attached = true;
  boot();
  parent.write.reset();
  expect_shutdown_then_power_off();
  EXPECT_EQ(ended().status, SandboxStatus::stopped);
}

TEST_F(SupervisorTest, DetachedSandboxOutlivesItsParent) {
  config.attached = true;
  boot();
  ASSERT_TRUE(write_full(parent.write.get(), as_bytes("\x01")));
  parent.write.reset();
  Peer client = Peer::connect(home.relay_socket("s"));
  client.send(client.first(), wire::Ping{});
  EXPECT_EQ(guest.agent.receive()->type, "core.ping");
}

TEST_F(SupervisorTest, MaximumDurationEndsIt) {
  config.max_duration_ms = 1;
  boot();
  expect_shutdown_then_power_off();
  EXPECT_EQ(ended().termination_reason, "max_duration");
}

TEST_F(SupervisorTest, IdleTimeoutEndsIt) {
  config.idle_timeout_ms = 1;
  boot();
  expect_shutdown_then_power_off();
  EXPECT_EQ(ended().termination_reason, "idle_timeout");
}

TEST_F(SupervisorTest, ActiveSessionIsNotIdle) {
  config.idle_timeout_ms = 1;
  config.startup = state::StartupCommand{.argv = {"sleep", "1"}, .keep_after_success = true};
  boot();
  auto request = guest.agent.receive();
  ASSERT_EQ(request->type, "core.exec.request");
  EXPECT_EQ(request->as<wire::ExecRequest>().args, std::vector<std::string>{"1"});
  // Only its end starts the clock.
  guest.agent.send(request->id, wire::ExecExited{0}, wire::kFlagTerminal);
  expect_shutdown_then_power_off();
  auto row = ended();
  EXPECT_EQ(row.termination_reason, "idle_timeout");
  EXPECT_EQ(row.exit_code, 0);
}

TEST_F(SupervisorTest, StartupCommandsExitEndsItWithItsCode) {
  config.startup = state::StartupCommand{.argv = {"false"}};
  boot();
  auto request = guest.agent.receive();
  guest.agent.send(request->id, wire::ExecStdout{as_bytes("hello\n")});
  guest.agent.send(request->id, wire::ExecExited{3}, wire::kFlagTerminal);
  expect_shutdown_then_power_off();
  auto row = ended();
  EXPECT_EQ(row.status, SandboxStatus::stopped);
  EXPECT_EQ(row.termination_reason, "completed");
  EXPECT_EQ(row.exit_code, 3);
  std::string log;
  ASSERT_TRUE(state::read_log(home.exec_log("s"), {}, [&](const LogEntry& entry) {
    log += entry.data;
    return true;
  }));
  EXPECT_EQ(log, "hello\n");
}

TEST_F(SupervisorTest, AStartupCommandThatEndsOverAndOverWritesOneLine) {
  config.startup = state::StartupCommand{.argv = {"true"}, .keep_after_success = true};
  boot();
  auto request = guest.agent.receive();
  Peer client = Peer::connect(home.relay_socket("s"));
  for (int i = 0; i < 50; ++i) guest.agent.send(request->id, wire::ExecExited{0});
  client.send(client.first(), wire::Shutdown{.grace_ms = 10}, wire::kFlagShutdown);
  expect_shutdown_then_power_off();
  (void)ended();
  int lines = 0;
  ASSERT_TRUE(state::read_log(home.exec_log("s"), {.stdout_stream = false, .stderr_stream = false, .system = true},
                              [&](const LogEntry& entry) {
                                lines += entry.data.find("the command exited") != std::string::npos ? 1 : 0;
                                return true;
                              }));
  EXPECT_EQ(lines, 1);
}

TEST_F(SupervisorTest, StartupCommandThatIsNotThereIs127) {
  config.startup = state::StartupCommand{.argv = {"nonesuch"}};
  boot();
  auto request = guest.agent.receive();
  guest.agent.send(request->id, wire::ExecFailed{.kind = "not_found", .errnum = 2, .message = "no", .stage = "exec"},
                   wire::kFlagTerminal);
  expect_shutdown_then_power_off();
  EXPECT_EQ(ended().exit_code, 127);
}

TEST_F(SupervisorTest, EphemeralSandboxIsRemovedWhole) {
  config.ephemeral = true;
  boot();
  guest.end(Cause::guest);
  thread.join();
  EXPECT_FALSE(*state::find_sandbox(database, "s"));
  EXPECT_FALSE(path_exists(home.sandbox_dir("s")));
  EXPECT_FALSE(path_exists(home.relay_socket("s")));
}

TEST_F(SupervisorTest, KernelPanicIsACrash) {
  boot();
  guest.print("[  2.0] Kernel panic - not syncing: Attempted to kill init!\r\n");
  guest.end(Cause::guest);
  auto row = ended();
  EXPECT_EQ(row.status, SandboxStatus::crashed);
  EXPECT_EQ(row.termination_reason, "guest_panic");
  EXPECT_EQ(exit_code, 1);
}

TEST_F(SupervisorTest, GuestThatPowersItselfOffHasStopped) {
  boot();
  guest.print("[  2.0] reboot: Power down\r\n");
  guest.end(Cause::guest);
  auto row = ended();
  EXPECT_EQ(row.status, SandboxStatus::stopped);
  EXPECT_EQ(row.termination_reason, "guest_reset");
}

TEST_F(SupervisorTest, KilledMachineIsACrash) {
  boot();
  guest.end(Cause::killed);
  auto row = ended();
  EXPECT_EQ(row.status, SandboxStatus::crashed);
  EXPECT_EQ(row.termination_reason, "killed");
}

TEST_F(SupervisorTest, HostileFrameEndsTheSandbox) {
  boot();
  guest.agent.send_raw(as_bytes("\xff\xff\xff\xff"));
  auto row = ended();
  EXPECT_EQ(row.status, SandboxStatus::crashed);
  EXPECT_EQ(row.termination_reason, "internal_error");
}

// ---- boots that fail -----------------------------------------------------------------

TEST_F(SupervisorTest, FailureOfTheAgentKeepsItsStageAndTheKernelsLines) {
  launch();
  guest.print("[    0.1] EXT4-fs (vdb): bad magic\r\n");
  EXPECT_EQ(guest.agent.receive()->type, "core.bootstrap");
  // The console is another stream: seen before the failure only when it is read to its end.
  guest.agent.send(0, wire::BootFailed{.stage = "mount", .message = "mount /dev/vdb: invalid", .errnum = 22});
  auto failed = report();
  EXPECT_FALSE(failed.ready);
  EXPECT_EQ(failed.stage, "mount");
  EXPECT_EQ(failed.errnum, 22);
  EXPECT_THAT(failed.message, HasSubstr("/dev/vdb"));
  ASSERT_EQ(failed.kernel_lines.size(), 1U);
  EXPECT_THAT(failed.kernel_lines[0], HasSubstr("bad magic"));
  auto row = ended();
  EXPECT_EQ(row.status, SandboxStatus::crashed);
  EXPECT_EQ(row.termination_reason, "boot_failed");
  auto kept = state::StartupReport::from_json(*read_file(home.boot_error("s")));
  EXPECT_EQ(kept->stage, "mount");
}

TEST_F(SupervisorTest, PanicWhileBootingIsNamed) {
  launch();
  guest.print("[    0.1] Kernel panic - not syncing: VFS: Unable to mount root fs\r\n");
  guest.end(Cause::guest);
  auto failed = report();
  EXPECT_EQ(failed.stage, "mount");
  EXPECT_THAT(failed.message, HasSubstr("Kernel panic"));
}

TEST_F(SupervisorTest, TooLittleMemoryIsHinted) {
  config.machine.memory_mib = 32;
  launch();
  guest.print("[    0.1] Kernel panic - not syncing: System is deadlocked on memory\r\n");
  guest.end(Cause::guest);
  auto failed = report();
  EXPECT_THAT(failed.message, HasSubstr("32 MiB"));
  EXPECT_THAT(failed.hint, HasSubstr("--memory 256M"));
}

TEST_F(SupervisorTest, SilentEndWithLittleMemoryIsHinted) {
  config.machine.memory_mib = 16;
  launch();
  guest.end(Cause::guest);
  EXPECT_THAT(report().hint, HasSubstr("--memory"));
}

TEST_F(SupervisorTest, MachineThatGivesUpIsABuildFailure) {
  launch();
  guest.end(Cause::failed);
  auto failed = report();
  EXPECT_EQ(failed.stage, "build_vm");
  EXPECT_EQ(failed.message, "it broke");
  EXPECT_EQ(failed.hint, "mend it");
}

TEST_F(SupervisorTest, MachineThatCannotBeStartedIsABuildFailure) {
  factory = [](Reactor&, const state::LaunchConfig&, ExitHandler) -> Result<std::unique_ptr<Machine>> {
    return fail(Error(ErrorKind::unsupported, "no QEMU here").hint("install it"));
  };
  launch();
  auto failed = report();
  EXPECT_EQ(failed.stage, "build_vm");
  EXPECT_EQ(failed.hint, "install it");
  EXPECT_EQ(ended().status, SandboxStatus::crashed);
}

TEST_F(SupervisorTest, SilentAgentRunsIntoTheDeadline) {
  config.boot_deadline_ms = 1;
  launch();
  auto failed = report();
  EXPECT_EQ(failed.stage, "agent");
  EXPECT_THAT(failed.message, HasSubstr("did not answer"));
}

TEST_F(SupervisorTest, NonsenseInsteadOfReadyIsAnAgentFailure) {
  launch();
  guest.agent.send(7, wire::ExecExited{0});
  EXPECT_EQ(report().stage, "agent");
}

TEST_F(SupervisorTest, BrokenBootConfigurationIsAConfigFailure) {
  config.bootstrap = {0xff};
  launch();
  EXPECT_EQ(report().stage, "config");
}

TEST_F(SupervisorTest, ParentsEndWhileBootingStopsTheBoot) {
  config.attached = true;
  launch();
  parent.write.reset();
  EXPECT_THAT(report().message, HasSubstr("stopped while it booted"));
}

TEST(Builder, AMachineThatThisProgramDoesNotCarryIsRefused) {
  TempDir dir = *TempDir::create();
  auto reactor = *Reactor::create();
  state::LaunchConfig config;
  config.home = dir.path();
  config.machine.kernel = config.machine.initramfs = "/dev/null";
  config.machine_choice = "kvm";
  auto machine = build_machine(*reactor, config, [](const MachineEnd&) {});
  ASSERT_FALSE(machine);
  EXPECT_EQ(machine.error().kind(), ErrorKind::unsupported);
  config.machine_choice = "abacus";
  machine = build_machine(*reactor, config, [](const MachineEnd&) {});
  ASSERT_FALSE(machine);
  EXPECT_THAT(machine.error().message(), HasSubstr("abacus"));
}

}  // namespace
}  // namespace msb::vmm
