// Each role looked at from inside, by testing/jail_probe.cc, without the fence round it: the jail has to hold alone.
#include "kvm/jail.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include "base/child.h"
#include "base/fd.h"
#include "base/temp_dir.h"

namespace msb::kvm {
namespace {

struct Seen {
  std::string result;
  ExitStatus status;
};

Seen look(const std::string& role, const std::string& attempt) {
  auto dir = TempDir::create();
  auto file = open_file(dir->path() + "/disk", O_RDWR | O_CREAT);
  EXPECT_EQ(::ftruncate(file->get(), 8192), 0);
  auto kvm = open_file("/dev/kvm", O_RDWR);
  auto directory = open_file(dir->path(), O_PATH | O_DIRECTORY);
  auto output = make_pipe();
  SpawnOptions options;
  options.argv = {JAIL_PROBE_PATH, role, attempt};
  options.fds = {{output->write.get(), 1}, {file->get(), 3}, {directory->get(), 5}};
  if (kvm) options.fds.emplace_back(kvm->get(), 4);
  auto child = Child::spawn(options);
  EXPECT_TRUE(child) << child.error().to_string();
  output->write.reset();
  Seen seen;
  seen.result = as_text(*read_all(output->read.get(), 4096));
  seen.status = *child->wait();
  return seen;
}

class JailTest : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Roles, JailTest, ::testing::Values("device", "vcpu", "disk", "share"),
                         [](const auto& test) { return std::string(test.param); });

TEST_P(JailTest, EveryWayOutKills) {
  for (const char* attempt : {"stat",   "socket", "connect",        "fork",  "thread",       "clone3",   "exec",
                              "ptrace", "kill",   "signal-another", "pidfd", "read-another", "map-exec", "make-exec",
                              "memfd",  "dup",    "fcntl-dup",      "chmod", "terminal",     "new-vm",   "io-uring",
                              "bpf",    "prctl",  "limits",         "mount", "unshare",      "x32",      "compat"}) {
    Seen seen = look(GetParam(), attempt);
    EXPECT_EQ(seen.status.signal, SIGSYS) << attempt << " gave " << seen.result;
  }
}

TEST_P(JailTest, WhatLibrariesDoGoesOn) {
  for (const char* attempt : {"allocate", "kick"}) {
    Seen seen = look(GetParam(), attempt);
    EXPECT_EQ(seen.result, "ok") << attempt;
    EXPECT_TRUE(seen.status.success()) << attempt << ", signal " << seen.status.signal;
  }
}

TEST(JailRolesTest, OnlySharesOpenFiles) {
  for (const char* role : {"device", "vcpu", "disk"})
    for (const char* attempt : {"open", "share"})
      EXPECT_EQ(look(role, attempt).status.signal, SIGSYS) << role << " " << attempt;
  EXPECT_EQ(look("share", "share").result, "ok");
}

TEST(JailRolesTest, SharesReopenNothingOfOthers) {
  EXPECT_EQ(look("share", "reopen-disk").result, std::to_string(ENOENT));
  EXPECT_EQ(look("share", "reopen-console").result, "ok");  // its own links do work
}

TEST(JailRolesTest, EachRoleDoesItsOwnWork) {
  EXPECT_EQ(look("disk", "write-disk").result, "ok");
  EXPECT_EQ(look("disk", "flush").result, "ok");
  EXPECT_EQ(look("disk", "give-back").result, "ok");
  EXPECT_EQ(look("device", "event").result, "ok");
}

TEST(JailRolesTest, NoRoleDoesTheWorkOfAnother) {
  for (auto [role, attempt] : {std::pair{"disk", "run"},
                               {"device", "run"},
                               {"vcpu", "write-disk"},
                               {"device", "write-disk"},
                               {"vcpu", "send"},
                               {"disk", "send"},
                               {"vcpu", "event"},
                               {"disk", "event"},
                               {"share", "run"},
                               {"share", "write-disk"},
                               {"share", "send"},
                               {"share", "event"},
                               {"vcpu", "give-back"},
                               {"device", "give-back"}})
    EXPECT_EQ(look(role, attempt).status.signal, SIGSYS) << role << " " << attempt;
}

TEST(JailRolesTest, AGuestRunsInTheRoleOfAProcessor) {
  if (::access("/dev/kvm", R_OK | W_OK) != 0) {
    EXPECT_EQ(look("vcpu", "run-guest").status.code, 3) << "a guest without KVM";
    return;
  }
  EXPECT_EQ(look("vcpu", "run-guest").result, "ok");
}

TEST(JailRolesTest, FiltersAreSmall) {
  for (ThreadRole role : {ThreadRole::device, ThreadRole::vcpu, ThreadRole::disk, ThreadRole::share})
    EXPECT_LT(jail_filter(role).size(), 256u);
}

}  // namespace
}  // namespace msb::kvm
