#include "qemu/portable_machine.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "base/temp_dir.h"
#include "qemu/testing/guest.h"

namespace msb::qemu {
namespace {

// Starts a guest and talks to its PID 1 (testing/guest_init.cc).
class PortableMachineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto reactor = Reactor::create();
    ASSERT_TRUE(reactor) << reactor.error().to_string();
    reactor_ = std::move(*reactor);
    auto dir = TempDir::create();
    ASSERT_TRUE(dir);
    dir_.emplace(std::move(*dir));
    auto qemu = find_qemu({.cache_file = path("qemu.json"), .extra_dirs = {}});
    ASSERT_TRUE(qemu) << qemu.error().to_string();
    qemu_ = std::move(*qemu);
    auto kernel = testing::test_kernel();
    ASSERT_TRUE(kernel) << kernel.error().to_string();
    spec_.kernel = *kernel;
    spec_.memory_mib = 128;
    spec_.initramfs = path("initramfs.cpio");
    auto written = testing::write_initramfs(spec_.initramfs, GUEST_INIT_PATH);
    ASSERT_TRUE(written) << written.error().to_string();
    auto deadline = Timer::create(*reactor_, [this] {
      timed_out_ = true;
      if (machine_) machine_->kill();
      reactor_->stop();
    });
    ASSERT_TRUE(deadline);
    deadline_ = std::move(*deadline);
  }

  std::string path(const std::string& name) const { return dir_->path() + "/" + name; }

  std::string make_file(const std::string& name, size_t size, const std::string& start = {}) {
    std::ofstream file(path(name), std::ios::binary);
    file << start;
    file.close();
    EXPECT_EQ(::truncate(path(name).c_str(), static_cast<off_t>(size)), 0);
    return path(name);
  }

  void start(const MachineOptions& options = {}) {
    auto machine =
        PortableMachine::start(*reactor_, spec_, qemu_,
                               {.on_exit =
                                    [this](const MachineExit& exit) {
                                      exit_ = exit;
                                      reactor_->stop();
                                    },
                                .on_event = [this](const QmpEvent& event) { events_.push_back(event.name); }},
                               options);
    ASSERT_TRUE(machine) << machine.error().to_string();
    agent_watch_.reset();
    console_watch_.reset();
    machine_ = std::move(*machine);
    ASSERT_TRUE(deadline_->arm(std::chrono::seconds(30)));
    follow(machine_->agent_fd(), said_, agent_watch_);
    follow(machine_->console_fd(), console_, console_watch_);
  }

  void follow(int fd, std::string& into, Reactor::Watch& watch) {
    auto result = reactor_->watch(fd, EPOLLIN, [this, fd, &into, &watch](uint32_t) {
      char buffer[4096];
      ssize_t count = ::read(fd, buffer, sizeof(buffer));
      if (count > 0)
        into.append(buffer, static_cast<size_t>(count));
      else if (count == 0 || errno != EAGAIN)
        watch.reset();
      if (&into == &said_ && into.find('\n') != std::string::npos) reactor_->stop();
    });
    ASSERT_TRUE(result);
    watch = std::move(*result);
  }

  // Runs until the guest has answered (a whole line on the agent port) or the machine ended.
  std::string answer() {
    if (said_.find('\n') == std::string::npos) run();
    size_t end = said_.find('\n');
    if (end == std::string::npos) return "(nothing)";
    std::string line = said_.substr(0, end);
    said_.erase(0, end + 1);
    return line;
  }

  std::string ask(const std::string& order) {
    std::string line = order + "\n";
    EXPECT_EQ(::write(machine_->agent_fd(), line.data(), line.size()), static_cast<ssize_t>(line.size()));
    return answer();
  }

  void run() {
    ASSERT_TRUE(reactor_->run());
    ASSERT_FALSE(timed_out_) << console_;
  }

  // Boots to the point where PID 1 answers.
  void boot(const MachineOptions& options = {}) {
    start(options);
    ASSERT_EQ(answer(), "READY") << console_ << exit_text();
  }

  void run_to_exit() {
    while (!exit_ && !timed_out_) run();
  }

  std::string exit_text() const { return exit_ ? exit_->to_error().message() : ""; }

  std::unique_ptr<Reactor> reactor_;
  std::optional<TempDir> dir_;
  QemuProgram qemu_;
  state::MachineSpec spec_;
  std::unique_ptr<Timer> deadline_;
  std::unique_ptr<PortableMachine> machine_;
  Reactor::Watch agent_watch_;
  Reactor::Watch console_watch_;
  std::string said_;
  std::string console_;
  std::vector<std::string> events_;
  std::optional<MachineExit> exit_;
  bool timed_out_ = false;
};

TEST_F(PortableMachineTest, BootsToPidOneInsideEveryWallThisHostGrants) {
  boot();
  EXPECT_EQ(ask("PING"), "PONG");
  for (const auto& wall : machine_->walls()) EXPECT_TRUE(wall.up) << wall_name(wall.wall) << ": " << wall.reason;
  EXPECT_GE(machine_->walls().size(), 12u);
}

TEST_F(PortableMachineTest, PowerOffByTheGuestEndsTheMachine) {
  boot();
  (void)::write(machine_->agent_fd(), "REBOOT\n", 7);
  run_to_exit();
  ASSERT_TRUE(exit_);
  EXPECT_EQ(exit_->cause, MachineExit::Cause::guest) << exit_text() << exit_->stderr_tail;
  EXPECT_TRUE(exit_->status.success());
}

TEST_F(PortableMachineTest, DisksAppearInOrderWithTheirSizesAndAccess) {
  std::string first = make_file("first", 8192, "first-file");
  std::string second = make_file("second", 4096, "second-file");
  std::string upper = make_file("upper", 1 << 20, "upper-file");
  spec_.disks = {{state::DiskSpec::Format::concat, {first, second}, true},
                 {state::DiskSpec::Format::raw, {upper}, false}};
  boot();
  EXPECT_EQ(ask("DISKS"), "vda=24r vdb=2048w ");
  EXPECT_EQ(ask("READ vda 0"), "first-file");
  EXPECT_EQ(ask("READ vda 16"), "second-file");
  EXPECT_EQ(ask("READ vdb 0"), "upper-file");
  EXPECT_EQ(ask("WRITE vdb changed"), "DONE");
  EXPECT_EQ(ask("WRITE vda changed"), "ERROR");
  // What the guest has flushed is in the file, whatever happens to QEMU.
  machine_->kill();
  run_to_exit();
  EXPECT_EQ(exit_->cause, MachineExit::Cause::requested);
  std::ifstream file(upper, std::ios::binary);
  std::string text(7, '\0');
  file.read(text.data(), 7);
  EXPECT_EQ(text, "changed");
}

TEST_F(PortableMachineTest, FiveDisksFit) {
  for (int i = 0; i < 5; ++i)
    spec_.disks.push_back({state::DiskSpec::Format::raw,
                           {make_file("disk" + std::to_string(i), 4096 * (1 + static_cast<size_t>(i)))},
                           false});
  boot();
  EXPECT_EQ(ask("DISKS"), "vda=8w vdb=16w vdc=24w vdd=32w vde=40w ");
}

TEST_F(PortableMachineTest, FurtherProcessorsComeOnLineWhenAsked) {
  spec_.vcpus = 2;
  boot();
  EXPECT_EQ(ask("CPUS"), "2");
}

TEST_F(PortableMachineTest, ExtraKernelWordsReachTheKernel) {
  MachineOptions options;
  options.extra_kernel_words = "msb.test=1";
  boot(options);
  EXPECT_NE(ask("CMDLINE").find("msb.test=1"), std::string::npos);
}

TEST_F(PortableMachineTest, AGuestPanicEndsTheMachineAndIsOnTheConsole) {
  boot();
  (void)::write(machine_->agent_fd(), "PANIC\n", 6);
  run_to_exit();
  EXPECT_EQ(exit_->cause, MachineExit::Cause::guest);
  EXPECT_NE(console_.find("Kernel panic"), std::string::npos) << console_;
}

TEST_F(PortableMachineTest, QuitIsARequestedEnd) {
  boot();
  machine_->quit();
  run_to_exit();
  EXPECT_EQ(exit_->cause, MachineExit::Cause::requested);
  EXPECT_TRUE(exit_->status.success());
}

TEST_F(PortableMachineTest, PauseStopsTheGuestAndResumeContinuesIt) {
  boot();
  bool paused = false;
  machine_->pause([&](Result<nlohmann::json> answer) {
    paused = answer.has_value();
    reactor_->stop();
  });
  run();
  EXPECT_TRUE(paused);
  (void)::write(machine_->agent_fd(), "PING\n", 5);
  std::string status;
  machine_->qmp().execute("query-status", [&](Result<nlohmann::json> answer) {
    if (answer) status = answer->value("status", "");
    reactor_->stop();
  });
  run();
  EXPECT_EQ(status, "paused");
  EXPECT_EQ(said_, "");
  machine_->resume({});
  EXPECT_EQ(answer(), "PONG");
}

TEST_F(PortableMachineTest, KilledFromOutsideSaysSo) {
  boot();
  ASSERT_EQ(::kill(machine_->pid(), SIGKILL), 0);
  run_to_exit();
  EXPECT_EQ(exit_->cause, MachineExit::Cause::killed);
  EXPECT_NE(exit_text().find("KILL"), std::string::npos);
}

TEST_F(PortableMachineTest, QemuThatRefusesItsDiskIsReportedInItsOwnWords) {
  spec_.disks = {{state::DiskSpec::Format::qcow2, {make_file("not-qcow2", 65536, "hello")}, false}};
  start();
  run_to_exit();
  EXPECT_EQ(exit_->cause, MachineExit::Cause::failed);
  EXPECT_NE(exit_text().find("qcow2"), std::string::npos) << exit_text();
}

TEST_F(PortableMachineTest, AWritableDiskBelongsToOneMachineUntilItEnds) {
  spec_.disks = {{state::DiskSpec::Format::raw, {make_file("shared", 65536)}, false}};
  boot();
  auto second = PortableMachine::start(*reactor_, spec_, qemu_, {.on_exit = [](const MachineExit&) {}});
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message().find("in use"), std::string::npos) << second.error().message();
  machine_->kill();
  run_to_exit();
  exit_.reset();
  boot();
}

TEST_F(PortableMachineTest, ReadOnlyDisksAreShared) {
  spec_.disks = {{state::DiskSpec::Format::raw, {make_file("shared", 65536)}, true}};
  boot();
  auto second = PortableMachine::start(*reactor_, spec_, qemu_, {.on_exit = [](const MachineExit&) {}});
  EXPECT_TRUE(second) << second.error().message();
  spec_.disks[0].read_only = false;
  auto writer = PortableMachine::start(*reactor_, spec_, qemu_, {.on_exit = [](const MachineExit&) {}});
  EXPECT_FALSE(writer);
}

TEST_F(PortableMachineTest, QemuDiesWithTheProcessThatStartedIt) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  pid_t parent = ::fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    auto machine = PortableMachine::start(*reactor_, spec_, qemu_, {.on_exit = [](const MachineExit&) {}});
    pid_t pid = machine ? (*machine)->pid() : -1;
    (void)!::write(pipe[1], &pid, sizeof(pid));
    ::pause();
  }
  pid_t qemu = -1;
  ASSERT_EQ(::read(pipe[0], &qemu, sizeof(qemu)), static_cast<ssize_t>(sizeof(qemu)));
  ASSERT_GT(qemu, 0);
  Fd watched(static_cast<int>(::syscall(SYS_pidfd_open, qemu, 0)));
  ASSERT_TRUE(watched);
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  // Readable when QEMU has ended; the test's own time limit is the deadline.
  auto watch = reactor_->watch(watched.get(), EPOLLIN, [this](uint32_t) { reactor_->stop(); });
  ASSERT_TRUE(deadline_->arm(std::chrono::seconds(60)));
  run();
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST_F(PortableMachineTest, WrongSpecificationsAreRefusedBeforeAnythingStarts) {
  auto error = [&](const state::MachineSpec& spec) {
    auto machine = PortableMachine::start(*reactor_, spec, qemu_, {.on_exit = [](const MachineExit&) {}});
    return machine ? std::string("started") : machine.error().message();
  };
  auto spec = spec_;
  spec.kernel = path("none");
  EXPECT_NE(error(spec).find("guest kernel"), std::string::npos);
  spec.kernel = "/bin/true";
  EXPECT_NE(error(spec).find("PVH"), std::string::npos);
  spec.kernel = make_file("text", 100, "#!/bin/sh\n");
  EXPECT_NE(error(spec).find("not a 64-bit ELF"), std::string::npos);
  spec = spec_;
  spec.initramfs = path("none");
  EXPECT_NE(error(spec).find("initramfs"), std::string::npos);
  spec = spec_;
  spec.memory_mib = 16;
  EXPECT_NE(error(spec).find("too small"), std::string::npos);
  spec.memory_mib = 1u << 30;
  EXPECT_NE(error(spec).find("more than this host has"), std::string::npos);
  spec = spec_;
  spec.disks = {{state::DiskSpec::Format::raw, {path("none")}, false}};
  EXPECT_NE(error(spec).find("disk"), std::string::npos);
}

}  // namespace
}  // namespace msb::qemu
