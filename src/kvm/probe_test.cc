#include "kvm/probe.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <sstream>

#include "base/child.h"
#include "base/fd.h"
#include "base/temp_dir.h"
#include "kvm/requirements.h"

namespace msb::kvm {
namespace {

using State = Verdict::State;
using ::testing::HasSubstr;

class ProbeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto dir = TempDir::create();
    ASSERT_TRUE(dir);
    dir_.emplace(std::move(*dir));
    options_.cache_file = path("verdict");
    options_.cpuinfo = write("cpuinfo", "processor\t: 0\nflags\t\t: fpu vme de svm sse\nbogomips\t: 1\n");
    options_.boot_id = write("boot_id", "6e1c-1\n");
  }
  std::string path(const std::string& name) const { return dir_->path() + "/" + name; }
  std::string write(const std::string& name, const std::string& text) {
    EXPECT_TRUE(write_file_atomic(path(name), text));
    return path(name);
  }
  std::optional<TempDir> dir_;
  ProbeOptions options_;
};

TEST_F(ProbeTest, AMissingDeviceIsExplained) {
  options_.device = path("kvm");
  Verdict verdict = probe(options_);
  EXPECT_EQ(verdict.state, State::missing);
  EXPECT_THAT(verdict.detail, HasSubstr(path("kvm")));
  EXPECT_THAT(verdict.advice, HasSubstr("modprobe"));
  EXPECT_FALSE(read_file(options_.cache_file)) << "whether it may be opened is asked anew each time";
}

// What a user gets who owns nothing. As root in a child that has become nobody.
Verdict probe_as_nobody(const ProbeOptions& options) {
  Pipe words = *make_pipe();
  pid_t pid = ::fork();
  if (pid == 0) {
    bool changed = ::geteuid() != 0 || (::setgroups(0, nullptr) == 0 && ::setresgid(65534, 65534, 65534) == 0 &&
                                        ::setresuid(65534, 65534, 65534) == 0);
    Verdict verdict = probe(options);
    std::string text = cat(state_name(verdict.state), "\n", verdict.detail, "\n", verdict.advice);
    ::_exit(changed && write_full(words.write.get(), as_bytes(text)) ? 0 : 1);
  }
  words.write.reset();
  Child child = *Child::adopt(pid);
  auto text = read_all(words.read.get(), 4096);
  EXPECT_EQ(child.wait()->code, 0);
  std::istringstream lines(text ? std::string(as_text(*text)) : "");
  Verdict verdict;
  std::string state;
  std::getline(lines, state);
  EXPECT_EQ(state, state_name(State::no_permission));
  verdict.state = State::no_permission;
  std::getline(lines, verdict.detail);
  std::getline(lines, verdict.advice);
  return verdict;
}

TEST_F(ProbeTest, ADeviceOfRootAloneNamesTheCommandThatOpensItToAGroup) {
  options_.device = write("kvm", "");
  ASSERT_EQ(::chmod(options_.device.c_str(), 0), 0);
  ASSERT_EQ(::chmod(dir_->path().c_str(), 0755), 0);
  Verdict verdict = probe_as_nobody(options_);
  EXPECT_THAT(verdict.detail, HasSubstr("may not open it"));
  EXPECT_THAT(verdict.advice, HasSubstr("sudo usermod -aG kvm $USER`"));
}

TEST_F(ProbeTest, ADeviceOfAGroupNamesTheGroupAndTheCommandThatJoinsIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root gives a file to a group that it is not in";
  options_.device = write("kvm", "");
  group* daemon = ::getgrnam("daemon");
  ASSERT_NE(daemon, nullptr);
  ASSERT_EQ(::chown(options_.device.c_str(), 0, daemon->gr_gid), 0);
  ASSERT_EQ(::chmod(options_.device.c_str(), 0660), 0);
  ASSERT_EQ(::chmod(dir_->path().c_str(), 0755), 0);
  Verdict verdict = probe_as_nobody(options_);
  EXPECT_THAT(verdict.detail, HasSubstr("for the group daemon"));
  EXPECT_THAT(verdict.advice, HasSubstr("`sudo usermod -aG daemon $USER`"));
}

TEST_F(ProbeTest, ADeviceWithoutADriverIsExplained) {
  options_.device = path("kvm");
  // Opening a socket says ENXIO, as opening a device without its driver does.
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  ASSERT_LT(options_.device.size(), sizeof(address.sun_path));
  options_.device.copy(address.sun_path, options_.device.size());
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  Verdict verdict = probe(options_);
  EXPECT_EQ(verdict.state, State::missing);
  EXPECT_THAT(verdict.advice, HasSubstr("modprobe"));
}

TEST_F(ProbeTest, ADeviceThatDoesNotOpenOtherwiseIsBroken) {
  options_.device = dir_->path();
  Verdict verdict = probe(options_);
  EXPECT_EQ(verdict.state, State::broken);
  EXPECT_THAT(verdict.detail, HasSubstr("Is a directory"));
  EXPECT_FALSE(read_file(options_.cache_file));
}

TEST(Requirements, WhatAnOldKernelLacksIsNamed) {
  EXPECT_EQ(lacking_requirements([](int) { return true; }), "");
  EXPECT_EQ(lacking_requirements(
                [](int extension) { return extension != KVM_CAP_IRQFD && extension != KVM_CAP_IMMEDIATE_EXIT; }),
            "irqfd (KVM_CAP_IRQFD), immediate exit (KVM_CAP_IMMEDIATE_EXIT)");
}

TEST_F(ProbeTest, SomethingThatIsNotKvmIsRefused) {
  options_.device = write("kvm", "");
  Verdict verdict = probe(options_);
  EXPECT_EQ(verdict.state, State::too_old);
  EXPECT_THAT(verdict.detail, HasSubstr("does not answer as KVM"));
}

TEST_F(ProbeTest, AVerdictIsRememberedForThisBootAndThisDevice) {
  options_.device = write("kvm", "");
  Verdict first = probe(options_);
  auto written = read_file(options_.cache_file);
  ASSERT_TRUE(written);
  // A memory that says otherwise is believed, so it is really read.
  std::string changed = *written;
  changed.replace(changed.find("too-old"), 7, "no-hardware");
  write("verdict", changed);
  EXPECT_EQ(probe(options_).state, State::no_hardware);
  EXPECT_EQ(probe(options_).detail, first.detail);
  write("boot_id", "6e1c-2\n");
  EXPECT_EQ(probe(options_).state, State::too_old);
  ::unlink(options_.device.c_str());
  EXPECT_EQ(probe(options_).state, State::missing);
}

TEST_F(ProbeTest, ABrokenMachineIsTriedAgain) {
  options_.device = write("kvm", "");
  (void)probe(options_);
  std::string remembered = read_file(options_.cache_file).value();
  remembered.replace(remembered.find("too-old"), 7, "broken");
  write("verdict", remembered);
  EXPECT_EQ(probe(options_).state, State::too_old);
}

TEST_F(ProbeTest, ADamagedMemoryIsIgnored) {
  options_.device = write("kvm", "");
  (void)probe(options_);
  auto written = read_file(options_.cache_file);
  ASSERT_TRUE(written);
  for (size_t size = 0; size < written->size(); size += 7) {
    write("verdict", written->substr(0, size));
    EXPECT_EQ(probe(options_).state, State::too_old);
  }
}

TEST_F(ProbeTest, WhoMustHaveKvmGetsAnErrorWithAdvice) {
  options_.device = path("kvm");
  Error error = probe(options_).to_error();
  EXPECT_EQ(error.kind(), ErrorKind::unsupported);
  ASSERT_EQ(error.hints().size(), 2u);
  EXPECT_THAT(error.hints()[1], HasSubstr("--machine auto"));
}

TEST_F(ProbeTest, FindsTheFlagOfTheProcessor) {
  EXPECT_EQ(virtualisation_flag("processor : 0\nflags : a vmx b\n"), "vmx");
  EXPECT_EQ(virtualisation_flag("processor : 0\nflags : a svm\n"), "svm");
  EXPECT_EQ(virtualisation_flag("processor : 0\nflags : a svm_lock vmxx\nvmx flags : vmx\n"), "");
  EXPECT_EQ(virtualisation_flag(""), "");
}

// Whatever KVM the machine that runs these tests has: an honest answer in one sentence.
TEST_F(ProbeTest, ThisHostGetsAVerdict) {
  Verdict verdict = probe({.cache_file = path("verdict")});
  EXPECT_FALSE(verdict.detail.empty());
  EXPECT_EQ(verdict.detail.find('\n'), std::string::npos);
  EXPECT_EQ(verdict.works(), verdict.advice.empty());
  Verdict again = probe({.cache_file = path("verdict")});
  EXPECT_EQ(again.state, verdict.state);
  EXPECT_EQ(again.detail, verdict.detail);
}

TEST_F(ProbeTest, KvmWithoutHardwareIsNotTaken) {
  auto kvm = open_file("/dev/kvm", O_RDWR);
  if (!kvm) {
    EXPECT_EQ(probe({}).state == State::missing, kvm.error().errnum() == ENOENT);
    return;
  }
  options_.cpuinfo = write("cpuinfo", "flags : fpu vme\n");
  options_.cache_file.clear();
  Verdict verdict = probe(options_);
  EXPECT_EQ(verdict.state, State::no_hardware);
  EXPECT_THAT(verdict.detail, HasSubstr("KVM without hardware virtualisation"));
  // An emulated KVM runs the probe machine just as well: that alone is no proof.
  options_.cpuinfo = write("cpuinfo", "flags : fpu svm\n");
  Verdict believed = probe(options_);
  EXPECT_EQ(believed.state, State::works) << believed.detail;
}

}  // namespace
}  // namespace msb::kvm
