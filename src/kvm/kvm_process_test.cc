// With testing/fake_kvm.cc in the place of msb-kvm, in the real fence.
#include "kvm/kvm_process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "base/temp_dir.h"
#include "disk/disk_lock.h"
#include "kvm/testing/tiny_kernel.h"

namespace msb::kvm {
namespace {

using Cause = MachineExit::Cause;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string tiny_kernel(std::initializer_list<uint8_t> code = {0xf4}) {
  return std::string(as_text(testing::tiny_kernel(code)));
}

class KvmProcessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto reactor = Reactor::create();
    ASSERT_TRUE(reactor);
    reactor_ = std::move(*reactor);
    auto dir = TempDir::create();
    ASSERT_TRUE(dir);
    dir_.emplace(std::move(*dir));
    spec_.kernel = write("vmlinux", tiny_kernel());
    spec_.initramfs = write("initramfs", "0707");
    spec_.memory_mib = 64;
    options_.program = FAKE_KVM_PATH;
    options_.device = write("kvm", "");
  }
  std::string path(const std::string& name) const { return dir_->path() + "/" + name; }
  std::string write(const std::string& name, const std::string& text) {
    EXPECT_TRUE(write_file_atomic(path(name), text));
    return path(name);
  }
  void start(const std::string& act) {
    options_.extra_kernel_words = "act=" + act;
    auto machine = KvmProcess::start(*reactor_, spec_,
                                     {.on_exit =
                                          [this](const MachineExit& exit) {
                                            exit_ = exit;
                                            reactor_->stop();
                                          },
                                      .on_warning = [this](const std::string& line) { warnings_.push_back(line); }},
                                     options_);
    ASSERT_TRUE(machine) << machine.error().to_string();
    machine_ = std::move(*machine);
  }
  void run_to_end() { ASSERT_TRUE(reactor_->run()); }
  std::string refused() {
    auto machine = KvmProcess::start(*reactor_, spec_, {.on_exit = [](const MachineExit&) {}}, options_);
    return machine ? "started" : machine.error().to_string();
  }
  std::string console() {
    EXPECT_TRUE(set_blocking(machine_->console_fd(), Blocking::yes));
    auto text = read_all(machine_->console_fd(), 65536);
    return text ? std::string(as_text(*text)) : text.error().to_string();
  }

  std::unique_ptr<Reactor> reactor_;
  std::optional<TempDir> dir_;
  state::MachineSpec spec_;
  MachineOptions options_;
  std::unique_ptr<KvmProcess> machine_;
  std::optional<MachineExit> exit_;
  std::vector<std::string> warnings_;
};

TEST_F(KvmProcessTest, TheChildGetsWhatTheSpecificationSays) {
  spec_.vcpus = 3;
  spec_.disks = {
      {state::DiskSpec::Format::concat, {write("a", std::string(512, 'a')), write("b", std::string(1024, 'b'))}, true},
      {state::DiskSpec::Format::raw, {write("c", std::string(2048, 'c'))}, false}};
  start("wait");
  EXPECT_EQ(
      console(),
      cat("vcpus 3; memory 64; words console=ttyS0 quiet panic=-1 reboot=t dummy.numdummies=0 tsc=nowatchdog act=wait; "
          "kernel ",
          tiny_kernel().size(),
          "; initramfs 4; kvm open; disk concat ro 512 1024 not written; "
          "disk raw rw 2048 written"));
  for (const auto& wall : machine_->walls()) EXPECT_TRUE(wall.up) << fence::wall_name(wall.wall) << ": " << wall.reason;
  EXPECT_THAT(machine_->inner_walls(), ElementsAre("thread-filters"));
}

TEST_F(KvmProcessTest, TheChildHasTheSharedDirectoriesAndNothingBesideThem) {
  for (const char* name : {"rw", "ro"}) {
    ASSERT_EQ(::mkdir(path(name).c_str(), 0755), 0);
    write(cat(name, "/file"), "x");
  }
  write("secret", "x");
  spec_.shares = {{.name = "0", .path = path("rw"), .quota_bytes = 1 << 20, .usage = path("usage")},
                  {.name = "1", .path = path("ro"), .read_only = true}};
  start("wait");
  EXPECT_THAT(console(), HasSubstr("; share 0 quota 1048576 counted: file twice, new twice, ../secret ENOENT; "
                                   "share 1 quota 0: file twice, new EROFS, ../secret ENOENT"));
  EXPECT_EQ(::access(path("rw/new").c_str(), F_OK), 0);
  EXPECT_THAT(machine_->walls(), ::testing::Contains(::testing::AllOf(
                                     ::testing::Field(&fence::WallReport::wall, fence::Wall::share_mounts),
                                     ::testing::Field(&fence::WallReport::up, true))));
}

TEST_F(KvmProcessTest, WithoutSharesNoFileCanBeOpened) {
  start("open");
  run_to_end();
  EXPECT_EQ(exit_->status.code, 51);
}

TEST_F(KvmProcessTest, TheGuestsEndIsTheGuests) {
  start("guest");
  run_to_end();
  EXPECT_EQ(exit_->cause, Cause::guest);
}

TEST_F(KvmProcessTest, WhileItPutsTheMachineAwayNothingTurns) {
  start("linger");
  auto release = Timer::create(*reactor_, [this] { (void)write_full(machine_->agent_fd(), as_bytes("x")); });
  ASSERT_TRUE(release);
  ASSERT_TRUE((*release)->arm(std::chrono::milliseconds(100)));
  int turns = 0;
  for (; !exit_; ++turns) ASSERT_TRUE(reactor_->run_once());
  EXPECT_EQ(exit_->cause, Cause::guest);
  EXPECT_LT(turns, 20);
}

TEST_F(KvmProcessTest, AFailureComesWithItsReasonAndRegisters) {
  start("fail");
  run_to_end();
  EXPECT_EQ(exit_->cause, Cause::failed);
  EXPECT_EQ(exit_->registers, "rip 1\nrsp 2");
  EXPECT_EQ(exit_->to_error().to_string(), "the machine stopped: internal error");
  EXPECT_THAT(exit_->to_error().hints(), ElementsAre("a hint"));
}

TEST_F(KvmProcessTest, AChildThatSaysOneThingAndDoesAnotherHasFailed) {
  start("lie");
  run_to_end();
  EXPECT_EQ(exit_->cause, Cause::failed);
  EXPECT_THAT(exit_->to_error().to_string(), HasSubstr("code 7"));
}

TEST_F(KvmProcessTest, ACrashNamesTheSignal) {
  start("crash");
  run_to_end();
  EXPECT_EQ(exit_->cause, Cause::killed);
  // Number 1 of a pid namespace ignores the SIGABRT it sends itself; abort() then runs into a forbidden instruction.
  EXPECT_EQ(exit_->to_error().to_string(), "msb-kvm was killed by signal 11 (SEGV)");
}

TEST_F(KvmProcessTest, AForbiddenSystemCallIsNamedAsThat) {
  start("forbidden");
  run_to_end();
  EXPECT_EQ(exit_->cause, Cause::killed);
  EXPECT_THAT(exit_->to_error().to_string(), HasSubstr("its fence forbids"));
}

TEST_F(KvmProcessTest, MemoryBeyondTheMachinesIsRefusedToTheChild) {
  start("hog");
  run_to_end();
  EXPECT_EQ(exit_->status.code, 41);
}

TEST_F(KvmProcessTest, NonsenseOnTheControlSocketEndsTheMachine) {
  for (const char* act : {"nonsense", "endless"}) {
    exit_.reset();
    start(act);
    run_to_end();
    EXPECT_EQ(exit_->cause, Cause::failed) << act;
    EXPECT_THAT(exit_->to_error().to_string(), HasSubstr("nonsense")) << act;
  }
}

TEST_F(KvmProcessTest, ItsLastWordsArePrintable) {
  start("complain");
  run_to_end();
  EXPECT_EQ(exit_->to_error().to_string(), "msb-kvm ended with code 3: last ?[31mline");
}

TEST_F(KvmProcessTest, AFloodOfWarningsIsCutOff) {
  start("flood");
  run_to_end();
  EXPECT_EQ(exit_->cause, Cause::guest);
  ASSERT_EQ(warnings_.size(), kMaxWarnings + 1);
  EXPECT_EQ(warnings_[0], "warning 0??");
  EXPECT_THAT(warnings_.back(), HasSubstr("more warnings"));
}

TEST_F(KvmProcessTest, PauseAndResumeAreAnswered) {
  start("wait");
  std::vector<std::string> answers;
  auto note = [&](Result<> answer) {
    answers.push_back(answer ? "done" : answer.error().message());
    if (answers.size() == 3) reactor_->stop();
  };
  machine_->pause(note);
  machine_->resume(note);
  machine_->balloon(5, note);
  run_to_end();
  EXPECT_THAT(answers, ElementsAre("done", "done", "no balloon of 5"));
}

TEST_F(KvmProcessTest, DisksAreMeasuredByAsking) {
  start("wait");
  disk::DiskTraffic traffic;
  machine_->measure_disks([&](Result<disk::DiskTraffic> answer) {
    if (answer) traffic = *answer;
    reactor_->stop();
  });
  run_to_end();
  EXPECT_EQ(traffic.read_bytes, 4096u);
  EXPECT_EQ(traffic.written_bytes, 512u);
}

TEST_F(KvmProcessTest, KillIsARequestedEndAndAnswersWhoWaits) {
  start("guest");
  std::string answer;
  machine_->kill();
  machine_->pause([&](Result<> result) { answer = result ? "done" : "failed"; });
  run_to_end();
  EXPECT_EQ(exit_->cause, Cause::requested);
  EXPECT_EQ(answer, "failed");
}

TEST_F(KvmProcessTest, AWritableDiskHasOneUser) {
  std::string disk = write("disk", std::string(1024, 'd'));
  spec_.disks = {{state::DiskSpec::Format::raw, {disk}, false}};
  start("wait");
  EXPECT_THAT(refused(), HasSubstr("in use"));
}

// msb-kvm itself, with every wall up, on whatever KVM this host has.
TEST_F(KvmProcessTest, TheRealProgramRunsAGuestBehindAllItsWalls) {
  if (::access("/dev/kvm", R_OK | W_OK) != 0) {
    options_.device = "/dev/kvm";
    EXPECT_THAT(refused(), HasSubstr("/dev/kvm"));
    return;
  }
  options_.device = "/dev/kvm";
  options_.program = MSB_KVM_PATH;
  // mov dx, 0x3f8; mov al, 'H'; out dx, al; mov al, 0xfe; out 0x64, al (reset); hlt
  spec_.kernel = write("vmlinux", tiny_kernel({0x66, 0xba, 0xf8, 0x03, 0xb0, 'H', 0xee, 0xb0, 0xfe, 0xe6, 0x64, 0xf4}));
  spec_.vcpus = 2;
  spec_.disks = {{state::DiskSpec::Format::raw, {write("disk", std::string(4096, 'd'))}, false}};
  for (bool shares : {false, true}) {
    if (shares) spec_.shares = {{.name = "0", .path = dir_->path()}};
    start("none");
    run_to_end();
    EXPECT_EQ(exit_->cause, Cause::guest) << exit_->to_error().to_string() << "\n" << exit_->stderr_tail;
    EXPECT_EQ(console(), "H");
    EXPECT_THAT(machine_->inner_walls(), ElementsAre("thread-filters"));
  }
}

TEST_F(KvmProcessTest, WrongSpecificationsAreRefusedBeforeAnythingStarts) {
  auto good = spec_;
  spec_.kernel = path("none");
  EXPECT_THAT(refused(), HasSubstr("guest kernel"));
  spec_.kernel = "/bin/true";
  EXPECT_THAT(refused(), HasSubstr("PVH"));
  spec_ = good;
  spec_.memory_mib = 1u << 30;
  EXPECT_THAT(refused(), HasSubstr("more than this host has"));
  spec_ = good;
  spec_.vcpus = 33;
  EXPECT_THAT(refused(), HasSubstr("virtual processors"));
  spec_ = good;
  spec_.disks = {{state::DiskSpec::Format::qcow2, {write("q", "QFI\xfb")}, false}};
  EXPECT_THAT(refused(), HasSubstr("/q"));
  spec_ = good;
  spec_.shares = {{.name = "0", .path = path("none")}};
  EXPECT_THAT(refused(), HasSubstr("/none"));
  spec_ = good;
  options_.program = path("none");
  EXPECT_THAT(refused(), HasSubstr("/none"));
}

}  // namespace
}  // namespace msb::kvm
