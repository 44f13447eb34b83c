// QEMU's list of system calls, looked at by a program that runs under it.
#include "qemu/system_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "fence/testing/look.h"

namespace msb::qemu {
namespace {

using fence::testing::Seen;

Seen look(const std::string& attempt) {
  auto filter = fence::build_seccomp_filter(system_call_policy());
  EXPECT_TRUE(filter) << filter.error().to_string();
  auto seen = fence::testing::look({{attempt}, *filter, {}, {}});
  EXPECT_TRUE(seen) << seen.error().to_string();
  return seen ? *seen : Seen{};
}

TEST(SystemCallsTest, EveryCallThatReachesOutKills) {
  for (const char* attempt : {"unix-socket", "inet-socket", "signal=1", "ptrace=1", "mount", "unshare", "setuid",
                              "chroot", "fork", "bpf", "hostname", "chmod=/"})
    EXPECT_EQ(look(attempt).status.signal, SIGSYS) << attempt;
}

TEST(SystemCallsTest, RequestsToDevicesAreRefused) {
  EXPECT_EQ(look("tiocsti").results["tiocsti"], std::to_string(EPERM));
}

TEST(SystemCallsTest, OnlyAMachineWithSharesMakesMemoryFiles) {
  auto allows = [](const fence::SeccompPolicy& policy) {
    return std::ranges::any_of(policy.allowed, [](std::string_view name) { return name == "memfd_create"; });
  };
  EXPECT_FALSE(allows(system_call_policy()));
  EXPECT_TRUE(allows(system_call_policy(GuestMemoryKind::shared)));
}

TEST(SystemCallsTest, TheFilterIsSmallEnoughForTheKernelAndListsNoWayOut) {
  auto filter = fence::build_seccomp_filter(system_call_policy());
  ASSERT_TRUE(filter) << filter.error().to_string();
  EXPECT_LT(filter->calls.size(), 4096u);
  EXPECT_LT(filter->arguments.size(), 4096u);
  std::vector<std::string> allowed;
  for (const char* name : system_call_policy().allowed) allowed.emplace_back(name);
  for (const char* name :
       {"socket", "connect", "bind", "fork", "vfork", "ptrace", "mount", "kill", "bpf", "keyctl", "unshare", "setns",
        "process_vm_readv", "io_uring_setup", "perf_event_open", "chmod", "rename"})
    EXPECT_THAT(allowed, ::testing::Not(::testing::Contains(name))) << name;
}

}  // namespace
}  // namespace msb::qemu
