// The whole sandbox process with a real guest: QEMU, kernel and agent. Label "vm".
//
// The kernel is $MSB_KERNEL_PATH or what kernel/build has cached, the initramfs $MSB_INITRAMFS_PATH or the
// build's own. This program is also the sandbox process, when it is called with "sandbox".
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

#include "base/child.h"
#include "base/temp_dir.h"
#include "qemu/testing/guest.h"
#include "state/launch_config.h"
#include "state/log_reader.h"
#include "state/sandboxes.h"
#include "vmm/testing/peer.h"
#include "vmm/vmm_process.h"

namespace msb::vmm {
namespace {

using ::testing::HasSubstr;
using testing::Peer;

std::string test_initramfs() {
  const char* given = std::getenv("MSB_INITRAMFS_PATH");
  return given ? given : INITRAMFS_PATH;
}

struct VmTest : ::testing::Test {
  TempDir temp = *TempDir::create();
  state::Home home = *state::Home::at(temp.path() + "/home");
  state::Database database = *state::Database::open(home);
  state::LaunchConfig config;
  Pipe parent = *make_pipe();
  Pipe startup = *make_pipe();
  Child process;

  VmTest() {
    config.name = "s";
    config.id = "id";
    config.home = home.path();
    config.machine.memory_mib = 256;
    config.machine.kernel = qemu::testing::test_kernel().value_or("");
    config.machine.initramfs = test_initramfs();
    config.machine_choice = "auto";
  }
  // A disk with nothing but directories, made by the tool every test host has.
  std::string make_root_disk() {
    std::string tree = temp.path() + "/tree";
    for (const char* name : {"/bin", "/proc", "/sys", "/dev", "/tmp", "/etc", "/run"})
      EXPECT_TRUE(make_dirs(tree + name));
    EXPECT_TRUE(run_capture({"cp", "/bin/busybox", tree + "/bin/busybox"}));
    for (const char* applet : {"sh", "echo", "true", "sleep", "kill", "cat"})
      EXPECT_EQ(::symlink("busybox", (tree + "/bin/" + applet).c_str()), 0);
    std::string disk = temp.path() + "/root.ext4";
    EXPECT_TRUE(run_capture({"mke2fs", "-q", "-t", "ext4", "-d", tree, disk, "32M"}));
    return disk;
  }
  void use_disk(const std::string& disk) {
    config.machine.disks.push_back({.format = state::DiskSpec::Format::raw, .files = {disk}, .read_only = false});
    wire::Bootstrap bootstrap;
    bootstrap.root.kind = "disk";
    bootstrap.root.device = "/dev/vda";
    bootstrap.hostname = "vmtest";
    bootstrap.env = {"PATH=/bin"};
    config.bootstrap = wire::encode(bootstrap);
  }
  void launch() {
    state::SandboxRow row;
    row.name = "s";
    row.id = "id";
    row.status = SandboxStatus::starting;
    ASSERT_TRUE(state::insert_sandbox(database, row));
    auto lock = *state::try_lock_sandbox(home, "s");
    ASSERT_TRUE(lock);
    Fd memory = *make_memfd("launch", as_bytes(config.to_json()));
    SpawnOptions options;
    options.argv = {"/proc/self/exe", "sandbox"};
    options.fds = {{memory.get(), state::kLaunchConfigFd},
                   {startup.write.get(), state::kStartupFd},
                   {lock->fd(), state::kLifecycleLockFd},
                   {parent.read.get(), state::kParentWatchFd}};
    options.new_session = true;
    auto child = Child::spawn(options);
    ASSERT_TRUE(child) << child.error().to_string();
    process = std::move(*child);
    startup.write.reset();
    parent.read.reset();
  }
  state::StartupReport report() {
    auto parsed = state::StartupReport::from_json(std::string(as_text(*read_all(startup.read.get(), 1 << 20))));
    EXPECT_TRUE(parsed) << parsed.error().to_string();
    return parsed ? *parsed : state::StartupReport();
  }
  void boot() {
    use_disk(make_root_disk());
    launch();
    auto ready = report();
    ASSERT_TRUE(ready.ready) << ready.stage << ": " << ready.message << ::testing::PrintToString(ready.kernel_lines);
    EXPECT_EQ(ready.machine, "portable");
  }
  std::string kernel_log() { return read_file(home.kernel_log("s")).value_or(""); }
  state::SandboxRow row() { return *state::get_sandbox(database, "s"); }
};

TEST_F(VmTest, BootsRunsCommandsAndShutsDown) {
  boot();
  EXPECT_EQ(row().status, SandboxStatus::running);
  Peer client = Peer::connect(home.relay_socket("s"));
  ASSERT_EQ(client.receive()->type, "core.ready");
  wire::ExecRequest request;
  request.cmd = "sh";
  request.args = {"-c", "echo out; echo err >&2; exit 7"};
  request.window = wire::kStreamWindow;
  client.send(client.first(), request, wire::kFlagSessionStart);
  std::string out;
  int code = -1;
  while (code < 0) {
    auto frame = client.receive();
    ASSERT_TRUE(frame);
    if (frame->type == "core.exec.stdout") out += as_text(frame->as<wire::ExecStdout>().data);
    ASSERT_NE(frame->type, "core.exec.failed") << frame->as<wire::ExecFailed>().message;
    if (frame->type == "core.exec.exited") code = frame->as<wire::ExecExited>().code;
  }
  EXPECT_EQ(out, "out\n");
  EXPECT_EQ(code, 7);
  client.send(client.first() + 1, wire::Shutdown{.grace_ms = 100}, wire::kFlagShutdown);
  EXPECT_TRUE(process.wait()->success());
  EXPECT_EQ(row().status, SandboxStatus::stopped) << kernel_log();
  EXPECT_EQ(row().termination_reason, "shutdown_requested");
  std::string log;
  ASSERT_TRUE(state::read_log(home.exec_log("s"), {}, [&](const LogEntry& entry) {
    log += entry.data;
    return true;
  }));
  EXPECT_THAT(log, HasSubstr("err\n"));
}

TEST_F(VmTest, StartupCommandRunsAndEndsTheSandbox) {
  config.startup = state::StartupCommand{.argv = {"sh", "-c", "exit 5"}};
  boot();
  ASSERT_TRUE(process.wait());
  EXPECT_EQ(row().termination_reason, "completed");
  EXPECT_EQ(row().exit_code, 5);
}

TEST_F(VmTest, SigtermShutsDownInGoodOrder) {
  boot();
  ASSERT_TRUE(process.signal(SIGTERM));
  EXPECT_TRUE(process.wait()->success());
  EXPECT_EQ(row().status, SandboxStatus::stopped);
  EXPECT_EQ(row().termination_reason, "signal");
}

TEST_F(VmTest, DisksDataSurvivesAShutdown) {
  config.startup = state::StartupCommand{.argv = {"sh", "-c", "echo kept > /kept"}};
  boot();
  ASSERT_TRUE(process.wait());
  EXPECT_EQ(*run_capture({"debugfs", "-R", "cat /kept", temp.path() + "/root.ext4"}), "kept\n");
}

TEST_F(VmTest, KillOfTheProcessTakesQemuAlongAndIsRepaired) {
  boot();
  ASSERT_TRUE(process.signal(SIGKILL));
  ASSERT_TRUE(process.wait());
  // The lock is inherited by nobody: free at once, whatever QEMU's own end takes.
  auto done = state::reconcile(home, database);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(done->crashed, 1);
  EXPECT_EQ(row().status, SandboxStatus::crashed);
}

TEST_F(VmTest, RootThatIsNoFileSystemIsAMountFailureWithKernelLines) {
  std::string disk = temp.path() + "/empty";
  ASSERT_TRUE(write_file_atomic(disk, std::string(1 << 20, '\0')));
  use_disk(disk);
  launch();
  auto failed = report();
  EXPECT_FALSE(failed.ready);
  EXPECT_EQ(failed.stage, "mount") << failed.message;
  ASSERT_TRUE(process.wait());
  EXPECT_EQ(row().status, SandboxStatus::crashed);
}

TEST_F(VmTest, TooLittleMemoryIsHinted) {
  config.machine.memory_mib = 24;
  use_disk(make_root_disk());
  launch();
  auto failed = report();
  EXPECT_FALSE(failed.ready);
  EXPECT_THAT(failed.hint, HasSubstr("MiB")) << failed.stage << " " << failed.message;
  ASSERT_TRUE(process.wait());
}

TEST_F(VmTest, MissingKernelIsNamed) {
  config.machine.kernel = temp.path() + "/nonesuch";
  use_disk(make_root_disk());
  launch();
  EXPECT_THAT(report().message, HasSubstr("nonesuch"));
  ASSERT_TRUE(process.wait());
}

}  // namespace
}  // namespace msb::vmm

int main(int argc, char** argv) {
  // At its end it is restrained: a leak check, which traces the process, is out of its reach.
  if (argc == 2 && std::string_view(argv[1]) == "sandbox") ::_exit(msb::vmm::run_vmm_process());
  ::testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
