#include "kvm/probe_machine.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/fd.h"

namespace msb::kvm {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

ProbeFinding answer(int fd) {
  return {nullptr, fd, 7};
}
ProbeFinding never_answer(int) {
  while (true) ::pause();
}
// Of the descriptors it was given, and of 0 to 99, how many are open.
ProbeFinding count_descriptors(int) {
  ProbeFinding finding{nullptr, 0, 0};
  for (int fd = 0; fd < 100; ++fd) finding.exit_reason += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return finding;
}
ProbeFinding crash(int) {
  ::raise(SIGKILL);
  return {};
}

TEST(ProbeMachine, TheChildsFindingComesBack) {
  auto finding = find_in_child(answer, 2, 10s);
  ASSERT_TRUE(finding) << finding.error().to_string();
  EXPECT_EQ(finding->problem, nullptr);
  EXPECT_EQ(finding->error, 2);
  EXPECT_EQ(finding->exit_reason, 7u);
}

TEST(ProbeMachine, OneThatNeverEndsIsKilledAndGone) {
  auto finding = find_in_child(never_answer, 2, 20ms);
  ASSERT_FALSE(finding);
  EXPECT_EQ(finding.error().kind(), ErrorKind::runtime);
  EXPECT_THAT(finding.error().message(), HasSubstr("did not end within 20 ms"));
  EXPECT_EQ(::waitpid(-1, nullptr, __WALL | WNOHANG), -1) << "a process is left";
}

TEST(ProbeMachine, OneThatIsKilledIsNoSuccess) {
  auto finding = find_in_child(crash, 2, 10s);
  ASSERT_FALSE(finding);
  EXPECT_THAT(finding.error().message(), HasSubstr("killed"));
}

TEST(ProbeMachine, TheChildHoldsNothingOfTheCallers) {
  auto file = open_file("/dev/null");
  ASSERT_TRUE(file);
  auto finding = find_in_child(count_descriptors, file->get(), 10s);
  ASSERT_TRUE(finding) << finding.error().to_string();
  EXPECT_EQ(finding->exit_reason, 2u) << "the file and the pipe for the answer";
}

TEST(ProbeMachine, NoVirtualMachineIsNamedAsThat) {
  auto file = open_file("/dev/null", O_RDWR);
  ASSERT_TRUE(file);
  auto ran = run_probe_machine(file->get());
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().kind(), ErrorKind::runtime);
  EXPECT_THAT(ran.error().message(), HasSubstr("create a virtual machine"));
}

TEST(ProbeMachine, RunsOnAnyKvm) {
  auto kvm = open_file("/dev/kvm", O_RDWR);
  if (!kvm) GTEST_SKIP() << kvm.error().to_string();
  auto ran = run_probe_machine(kvm->get());
  EXPECT_TRUE(ran) << ran.error().to_string();
}

}  // namespace
}  // namespace msb::kvm
