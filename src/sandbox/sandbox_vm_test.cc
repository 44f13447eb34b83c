// The library against real machines: MSB_PATH names the msb program. The end-to-end suite in tests/ goes further;
// this is what an embedding program relies on.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include <microsandbox/sandbox.h>

#include "base/child.h"
#include "base/temp_dir.h"

namespace msb {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// A home, and a root directory that has a shell.
class Vm : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("MSB_HOME", (folder_.path() + "/home").c_str(), 1);
    ASSERT_TRUE(make_dirs(root_ + "/bin"));
    ASSERT_TRUE(make_dirs(root_ + "/etc"));
    ASSERT_TRUE(write_file_atomic(root_ + "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"));
    std::string busybox = *read_file("/bin/busybox");
    ASSERT_TRUE(write_file_atomic(root_ + "/bin/busybox", busybox, 0755));
    for (const char* name : {"sh", "cat", "sleep", "true"})
      ASSERT_EQ(::symlink("busybox", (root_ + "/bin/" + name).c_str()), 0);
  }
  SandboxConfig config(const std::string& name = {}) {
    SandboxConfig config;
    config.name = name;
    config.image = *ImageSource::parse(root_);
    config.root_disk.size_mib = 64;
    return config;
  }
  std::string home_file(const std::string& path) { return folder_.path() + "/home/" + path; }

  TempDir folder_ = *TempDir::create();
  std::string root_ = folder_.path() + "/root";
};

#define ASSERT_OK(result) ASSERT_TRUE(result) << (result).error().to_string()

TEST_F(Vm, a_named_sandbox_keeps_its_disk_and_tells_what_it_is) {
  auto made = Sandbox::create(config("demo"));
  ASSERT_OK(made);
  EXPECT_TRUE(made->owns_lifecycle());
  auto output = made->exec("sh", {.args = {"-c", "cat > /kept; echo err >&2; exit 3"},
                                  .stdin_mode = StdinMode::bytes,
                                  .stdin_bytes = "from stdin"});
  ASSERT_OK(output);
  EXPECT_EQ(output->exit_code, 3);
  EXPECT_EQ(output->stderr_bytes, "err\n");
  auto again = Sandbox::create(config("demo"));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), ErrorKind::sandbox_already_exists);
  EXPECT_EQ(Sandbox::remove("demo").error().kind(), ErrorKind::sandbox_still_running);
  auto info = made->info();
  ASSERT_OK(info);
  EXPECT_EQ(info->status, SandboxStatus::running);
  EXPECT_EQ(info->isolation, "process");
  EXPECT_THAT(info->walls, Not(IsEmpty()));
  EXPECT_TRUE(made->ping());
  ASSERT_TRUE(made->stop());
  EXPECT_EQ(made->info()->status, SandboxStatus::stopped);
  EXPECT_EQ(made->exec("true").error().kind(), ErrorKind::sandbox_not_running);
  EXPECT_EQ(Sandbox::connect("demo").error().kind(), ErrorKind::sandbox_not_running);

  auto started = Sandbox::start("demo");
  ASSERT_OK(started);
  EXPECT_FALSE(started->owns_lifecycle());
  EXPECT_EQ(started->exec("cat", {.args = {"/kept"}})->stdout_bytes, "from stdin");
  auto connected = Sandbox::connect("demo");
  ASSERT_OK(connected);
  EXPECT_EQ(connected->shell("echo $0 $1", {.args = {"zero", "one"}})->stdout_bytes, "zero one\n");
  std::string log;
  ASSERT_TRUE(Sandbox::logs("demo", {}, [&](const LogEntry& entry) { return log += entry.data, true; }));
  EXPECT_THAT(log, HasSubstr("err"));
  ASSERT_TRUE(connected->kill());
  EXPECT_EQ(Sandbox::get("demo")->termination_reason, "killed");
  ASSERT_TRUE(Sandbox::remove("demo"));
  EXPECT_THAT(*Sandbox::list(), IsEmpty());
  EXPECT_FALSE(path_exists(home_file("sandboxes/demo")));
}

TEST_F(Vm, what_it_uses_is_told_once_again_and_again_and_of_all) {
  auto made = Sandbox::create(config("demo"));
  ASSERT_OK(made);
  auto once = made->metrics();
  ASSERT_OK(once);
  EXPECT_GT(once->vcpu_time_ns, 0u);
  EXPECT_EQ(once->memory_limit_bytes, uint64_t{512} << 20);
  EXPECT_LT(once->memory_bytes, once->memory_limit_bytes);
  std::vector<SandboxMetrics> seen;
  ASSERT_TRUE(Sandbox::metrics_stream("demo", 100ms, [&](const SandboxMetrics& now) {
    seen.push_back(now);
    return seen.size() < 3;
  }));
  ASSERT_THAT(seen, SizeIs(3));
  EXPECT_GT(seen[2].uptime_ms, seen[0].uptime_ms);
  EXPECT_GE(seen[2].vcpu_time_ns, seen[0].vcpu_time_ns);
  auto all = all_sandbox_metrics();
  ASSERT_OK(all);
  ASSERT_THAT(*all, SizeIs(1));
  EXPECT_GT(all->at("demo").uptime_ms, seen[2].uptime_ms);
  EXPECT_EQ(Sandbox::metrics_stream("demo", 1ms, [](const auto&) { return true; }).error().kind(),
            ErrorKind::invalid_config);

  int looks = 0;
  ASSERT_TRUE(Sandbox::metrics_stream("demo", 100ms, [&](const SandboxMetrics&) {
    if (++looks == 1) EXPECT_TRUE(Sandbox::kill("demo"));
    return true;
  }));
  EXPECT_EQ(looks, 1);
  EXPECT_EQ(made->metrics().error().kind(), ErrorKind::sandbox_not_running);
  EXPECT_EQ(Sandbox::metrics("none").error().kind(), ErrorKind::sandbox_not_found);
  EXPECT_THAT(*all_sandbox_metrics(), IsEmpty());
}

TEST_F(Vm, an_ephemeral_sandbox_goes_with_its_handle) {
  auto sandbox = Sandbox::create([&] {
    auto ephemeral = config();
    ephemeral.ephemeral = true;
    return ephemeral;
  }());
  ASSERT_OK(sandbox);
  auto slow = sandbox->exec("sleep", {.args = {"100"}, .timeout = 50ms});
  ASSERT_FALSE(slow);
  EXPECT_EQ(slow.error().kind(), ErrorKind::exec_timeout);
  auto missing = sandbox->exec("pyton");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().detail_as<ExecFailedDetail>()->reason, "not_found");
  EXPECT_EQ(sandbox->exec_default().error().kind(), ErrorKind::no_default_command);
  EXPECT_THAT(*Sandbox::list(), SizeIs(1));
  {
    Sandbox gone = std::move(*sandbox);
  }
  EXPECT_THAT(*Sandbox::list(), IsEmpty());
}

TEST_F(Vm, a_startup_command_ends_its_sandbox_and_a_replacement_takes_the_name) {
  auto first = config("job");
  first.detached = true;
  first.startup_command = {"sh", "-c", "echo working; exit 4"};
  auto job = Sandbox::create(first);
  ASSERT_OK(job);
  auto ended = job->wait_until_stopped();
  ASSERT_OK(ended);
  EXPECT_EQ(ended->status, SandboxStatus::stopped);
  EXPECT_EQ(ended->exit_code, 4);
  auto second = config("job");
  second.replace_grace = 1s;
  auto replaced = Sandbox::create(second);
  ASSERT_OK(replaced);
  EXPECT_NE(replaced->info()->id, ended->id);
}

TEST_F(Vm, a_boot_that_fails_leaves_nothing_but_logs) {
  std::string broken = folder_.path() + "/broken.cpio";
  ASSERT_TRUE(write_file_atomic(broken, "this is no initramfs"));
  ::setenv("MSB_INITRAMFS_PATH", broken.c_str(), 1);
  auto sandbox = Sandbox::create(config("demo"));
  ::unsetenv("MSB_INITRAMFS_PATH");
  ASSERT_FALSE(sandbox);
  EXPECT_EQ(sandbox.error().kind(), ErrorKind::boot_start);
  ASSERT_NE(sandbox.error().detail_as<BootFailure>(), nullptr);
  EXPECT_THAT(sandbox.error().detail_as<BootFailure>()->kernel_lines, Not(IsEmpty()));
  EXPECT_THAT(*Sandbox::list(), IsEmpty());
  EXPECT_FALSE(path_exists(home_file("sandboxes/demo/upper.ext4")));
  EXPECT_TRUE(path_exists(home_file("sandboxes/demo/logs")));
  // The name is free again.
  EXPECT_TRUE(Sandbox::create(config("demo")));
}

TEST_F(Vm, what_this_host_cannot_do_is_said_at_once) {
  auto greedy = config();
  greedy.memory_mib = 1u << 30;
  EXPECT_EQ(Sandbox::create(greedy).error().kind(), ErrorKind::invalid_config);
  auto nowhere = config();
  nowhere.image.reference = root_ + "/none";
  EXPECT_EQ(Sandbox::create(nowhere).error().kind(), ErrorKind::path_not_found);
  EXPECT_EQ(Sandbox::get("none").error().kind(), ErrorKind::sandbox_not_found);
  EXPECT_EQ(Sandbox::stop("none").error().kind(), ErrorKind::sandbox_not_found);
}

}  // namespace
}  // namespace msb
