// Each wall is looked at from inside, by testing/fence_probe.cc, with the walls before it taken away so that it has to
// stand alone.
#include "fence/fence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <iostream>
#include <map>

#include "base/fd.h"
#include "base/temp_dir.h"
#include "fence/testing/look.h"

namespace msb::fence {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

using testing::probe;
using testing::Seen;

// Enough for the probe, and nothing that reaches out of a process.
SeccompPolicy probe_policy() {
  SeccompPolicy policy;
  policy.allowed = {"execve",
                    "brk",
                    "mmap",
                    "munmap",
                    "mprotect",
                    "arch_prctl",
                    "set_tid_address",
                    "rseq",
                    "fstat",
                    "uname",
                    "getrandom",
                    "set_robust_list",
                    "readlink",
                    "readlinkat",
                    "newfstatat",
                    "open",
                    "openat",
                    "close",
                    "read",
                    "write",
                    "exit",
                    "exit_group",
                    "getpid",
                    "getppid",
                    "getuid",
                    "fcntl",
                    "rt_sigaction",
                    "prlimit64",
                    "rt_sigprocmask",
                    "prctl",
                    "getrlimit"};
  policy.allowed.push_back("sigaltstack");  // AddressSanitizer, when the exec has failed
  policy.refused = {{"chdir", EPERM}};
  policy.shapes = {{"ioctl", 1, 0xffffffff, 0x541b}};
  return policy;
}

Seen look(const std::vector<std::string>& attempts, const std::vector<Wall>& without = {},
          const std::vector<FenceFile>& more_files = {}) {
  auto filter = build_seccomp_filter(probe_policy());
  EXPECT_TRUE(filter) << filter.error().to_string();
  auto seen = testing::look({attempts, *filter, without, more_files});
  EXPECT_TRUE(seen) << seen.error().to_string();
  return seen ? *seen : Seen{};
}

std::string number(int error) {
  return std::to_string(error);
}

// A forbidden call ends the process before it can say anything.
void expect_killed(const std::string& attempt) {
  Seen seen = look({attempt});
  EXPECT_EQ(seen.status.signal, SIGSYS) << attempt << " gave " << seen.results[attempt];
}

const std::vector<Wall> kNoFilters = {Wall::seccomp, Wall::landlock};

TEST(FenceTest, EveryWallIsUpOnThisHost) {
  for (const auto& wall : look({"pid"}).walls) EXPECT_TRUE(wall.up) << wall_name(wall.wall) << ": " << wall.reason;
}

TEST(FenceTest, TheProgramStillRunsAndKeepsOnlyItsDescriptors) {
  Fd secret = *open_file("/etc/passwd");
  ::fcntl(secret.get(), F_SETFD, 0);  // not even close-on-exec
  Seen seen = look({"descriptors", "environment", "core-limit"});
  EXPECT_EQ(seen.results["descriptors"], "0,1,2");
  EXPECT_EQ(seen.results["environment"], "empty");
  EXPECT_EQ(seen.results["core-limit"], "0");
  EXPECT_TRUE(seen.status.success());
}

TEST(FenceTest, EmptyRootHoldsNothingOfTheHost) {
  TempDir dir = *TempDir::create();
  std::string file = dir.path() + "/wanted", secret = dir.path() + "/secret";
  std::ofstream(file) << "x";
  std::ofstream(secret) << "x";
  ::chmod(dir.path().c_str(), 0755);
  Seen seen = look({"read=" + file}, kNoFilters, {{file}});
  EXPECT_EQ(seen.results["read"], "ok");
  for (const std::string& path : {std::string("/etc/passwd"), std::string("/proc/self/status"),
                                  std::string("/sys/kernel"), std::string("/dev/null"), std::string("/bin/sh"), secret})
    EXPECT_EQ(look({"read=" + path}, kNoFilters, {{file}}).results["read"], number(ENOENT)) << path;
}

TEST(FenceTest, EmptyRootIsReadOnlyAlsoForTheOwnerOfTheFiles) {
  TempDir dir = *TempDir::create();
  std::string file = dir.path() + "/wanted";
  std::ofstream(file) << "x";
  ::chmod(dir.path().c_str(), 0755);
  std::vector<Wall> without = kNoFilters;
  without.push_back(Wall::unprivileged_user);
  Seen seen = look({"write=" + file, "create=/new", "chmod=" + file}, without, {{file}});
  EXPECT_EQ(seen.results["write"], number(EROFS));
  EXPECT_EQ(seen.results["create"], number(EROFS));
  EXPECT_EQ(seen.results["chmod"], number(EROFS));
}

TEST(FenceTest, PidNamespaceHidesAllOtherProcesses) {
  Seen seen = look(
      {"pid", "parent", "signal=" + std::to_string(::getpid()), "signal-all", "ptrace=" + std::to_string(::getpid())},
      kNoFilters);
  EXPECT_EQ(seen.results["pid"], "1");
  EXPECT_EQ(seen.results["parent"], "0");
  EXPECT_EQ(seen.results["signal"], number(ESRCH));
  EXPECT_EQ(seen.results["signal-all"], number(ESRCH));
  EXPECT_EQ(seen.results["ptrace"], number(ESRCH));
}

TEST(FenceTest, NetworkNamespaceHasNoUsableInterface) {
  std::string names = look({"interfaces"}, kNoFilters).results["interfaces"];
  EXPECT_EQ(names.find("eth"), std::string::npos) << names;
  EXPECT_TRUE(names.empty() || names.starts_with("lo")) << names;
}

TEST(FenceTest, CapabilitiesAreGoneAndCannotBeUsed) {
  Seen seen = look({"capabilities", "mount", "remount", "chroot", "hostname"}, kNoFilters);
  EXPECT_EQ(seen.results["capabilities"], "none");
  for (const char* what : {"mount", "remount", "chroot", "hostname"})
    EXPECT_EQ(seen.results[what], number(EPERM)) << what;
}

TEST(FenceTest, NoNewPrivilegesAndSeccompModeAreSet) {
  Seen seen = look({"no-new-privs", "seccomp"});
  EXPECT_EQ(seen.results["no-new-privs"], "1");
  EXPECT_EQ(seen.results["seccomp"], "2");
}

TEST(FenceTest, LandlockAloneStopsWhatAnOpenRootWouldAllow) {
  TempDir dir = *TempDir::create();
  std::string file = dir.path() + "/wanted";
  std::ofstream(file) << "x";
  ::chmod(dir.path().c_str(), 0777);
  Seen seen = look({"read=" + file, "write=" + file, "create=" + dir.path() + "/new", "exec=/bin/true"},
                   {Wall::seccomp, Wall::empty_root}, {{file}});
  EXPECT_EQ(seen.results["read"], "ok");
  EXPECT_EQ(seen.results["write"], number(EACCES));
  EXPECT_EQ(seen.results["create"], number(EACCES));
  EXPECT_EQ(seen.results["exec"], number(EACCES));
  EXPECT_EQ(look({"read=/etc/passwd"}, {Wall::seccomp, Wall::empty_root}).results["read"], number(EACCES));
  EXPECT_EQ(look({"list=/"}, {Wall::seccomp, Wall::empty_root}).results["list"], number(EACCES));
}

// For a child process: becomes "nobody" for good, or stays the ordinary user that runs the tests.
bool become_ordinary() {
  if (::geteuid() == 0 && (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0))
    return false;
  // A process that changed its user does not own its /proc files until it says so; an exec would have done that.
  return ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}

// A directory to work in, with a secret beside it. The probe has it as descriptor 7.
class FenceDirectoryTest : public ::testing::Test {
 protected:
  FenceDirectoryTest() {
    // Reached by names only if they are looked up outside.
    for (const auto& path : {dir_.path(), dir_.path() + "/shared"}) {
      ::mkdir(path.c_str(), 0755);
      ::chmod(path.c_str(), 0755);
    }
    std::ofstream(dir_.path() + "/shared/file") << "x";
    std::ofstream(dir_.path() + "/secret") << "x";
  }
  Seen look_in(FenceDirectory::Use use, const std::vector<std::string>& attempts, const std::vector<Wall>& without) {
    const std::string shared = dir_.path() + "/shared";
    auto open = open_file(shared, O_PATH | O_DIRECTORY);
    EXPECT_TRUE(open);
    auto seen = testing::look({.attempts = attempts,
                               .seccomp = *build_seccomp_filter(probe_policy()),
                               .without = without,
                               .more_files = {},
                               .directories = {{shared, open->get(), 7, use}}});
    EXPECT_TRUE(seen) << seen.error().to_string();
    return seen ? *seen : Seen{};
  }
  bool exists(const std::string& name) const { return ::access((dir_.path() + "/shared/" + name).c_str(), F_OK) == 0; }

  TempDir dir_ = *TempDir::create();
};

TEST_F(FenceDirectoryTest, ItIsWorkedInByItsDescriptorAndHasNoName) {
  // Left open below the number the directory gets, without close-on-exec: by a host program that knows no better.
  auto null = open_file("/dev/null");
  ASSERT_TRUE(null);
  Fd left(::fcntl(null->get(), F_DUPFD, 3));
  ASSERT_TRUE(left);
  Seen seen = look_in(FenceDirectory::Use::modify,
                      {"descriptors", "read=./7/file", "write=./7/file", "create=./7/new", "list=" + dir_.path()},
                      {Wall::seccomp});
  EXPECT_EQ(seen.results["descriptors"], "0,1,2,7");
  EXPECT_EQ(seen.results["read"], "ok");
  EXPECT_EQ(seen.results["write"], "ok");
  EXPECT_EQ(seen.results["create"], "ok");
  EXPECT_TRUE(exists("new"));
  EXPECT_NE(seen.results["list"], "ok");
  EXPECT_THAT(seen.walls, ::testing::Contains(::testing::Field(&WallReport::wall, Wall::share_mounts)));
  for (const auto& wall : seen.walls)
    EXPECT_TRUE(wall.up || wall.reason == "switched off" || ::geteuid() == 0)
        << wall_name(wall.wall) << ": " << wall.reason;
}

TEST_F(FenceDirectoryTest, NothingLeadsOutOfItsMount) {
  for (const char* path :
       {"./7/../secret", "./7/../shared/file", "../status", "../../self/status", "./7/../../etc/passwd"})
    EXPECT_EQ(look_in(FenceDirectory::Use::modify, {cat("read=", path)}, kNoFilters).results["read"], number(ENOENT))
        << path;
}

TEST_F(FenceDirectoryTest, WhatMayOnlyBeReadIsReadOnlyByItsMount) {
  Seen seen = look_in(FenceDirectory::Use::read,
                      {"read=./7/file", "write=./7/file", "create=./7/new", "chmod=./7/file"}, kNoFilters);
  EXPECT_EQ(seen.results["read"], "ok");
  for (const char* what : {"write", "create", "chmod"}) EXPECT_EQ(seen.results[what], number(EROFS)) << what;
}

TEST_F(FenceDirectoryTest, LandlockAloneHoldsWhatTheMountHolds) {
  const std::vector<Wall> without{Wall::seccomp, Wall::empty_root};  // no mounts of its own
  Seen seen = look_in(FenceDirectory::Use::modify, {"read=./7/file", "write=./7/file", "create=./7/new"}, without);
  for (const char* what : {"read", "write", "create"}) EXPECT_EQ(seen.results[what], "ok") << what;
  EXPECT_EQ(look_in(FenceDirectory::Use::modify, {"read=./7/../secret"}, without).results["read"], number(EACCES));
  seen = look_in(FenceDirectory::Use::read, {"read=./7/file", "write=./7/file", "create=./7/newer"}, without);
  EXPECT_EQ(seen.results["read"], "ok");
  EXPECT_EQ(seen.results["write"], number(EACCES));
  EXPECT_EQ(seen.results["create"], number(EACCES));
}

TEST_F(FenceDirectoryTest, RootKeepsWhatItCanDoToFilesAndNothingElse) {
  Seen seen = look_in(FenceDirectory::Use::modify, {"uid", "capabilities", "mount", "chroot", "hostname"}, kNoFilters);
  EXPECT_EQ(seen.results["uid"], std::to_string(::geteuid()));
  EXPECT_EQ(seen.results["capabilities"], ::geteuid() == 0 ? "some" : "none");
  for (const char* what : {"mount", "chroot", "hostname"}) EXPECT_EQ(seen.results[what], number(EPERM)) << what;
}

TEST_F(FenceDirectoryTest, RootWorksOnFilesOfEveryOwner) {
  if (::geteuid() != 0) return;  // nobody else can make such files
  std::ofstream(dir_.path() + "/shared/theirs") << "x";
  ASSERT_EQ(::chown((dir_.path() + "/shared/theirs").c_str(), 12345, 12345), 0);
  ::chmod((dir_.path() + "/shared/theirs").c_str(), 0600);
  Seen seen = look_in(FenceDirectory::Use::modify, {"write=./7/theirs", "chmod=./7/theirs"}, {Wall::seccomp});
  EXPECT_EQ(seen.results["write"], "ok");
  EXPECT_EQ(seen.results["chmod"], "ok");
}

TEST_F(FenceDirectoryTest, AnOrdinaryUserHasEveryWall) {
  pid_t pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    if (!become_ordinary()) ::_exit(100);
    Seen seen = look_in(FenceDirectory::Use::read, {"read=./7/file", "read=./7/../secret"}, {Wall::seccomp});
    int wrong = seen.results["read"] == number(ENOENT) ? 0 : 50;
    for (const auto& wall : seen.walls)
      if (!wall.up && wall.wall != Wall::seccomp) ++wrong;
    ::_exit(wrong);
  }
  Child child = *Child::adopt(pid);
  EXPECT_EQ(child.wait()->code, 0);
}

TEST_F(FenceDirectoryTest, AnotherDirectoryInItsPlaceIsAnError) {
  Fd shared = *open_file(dir_.path() + "/shared", O_PATH | O_DIRECTORY);
  auto look_at = [&](const std::string& path) {
    auto seen = testing::look({.attempts = {"pid"},
                               .seccomp = *build_seccomp_filter(probe_policy()),
                               .without = {},
                               .more_files = {},
                               .directories = {{path, shared.get(), 7}}});
    return seen ? "no error" : seen.error().to_string();
  };
  ASSERT_EQ(::symlink("/etc", (dir_.path() + "/link").c_str()), 0);
  for (const std::string& path : {dir_.path() + "/link", dir_.path(), std::string("/does/not/exist")})
    EXPECT_THAT(look_at(path), HasSubstr(path));
}

TEST(FenceTest, SeccompAloneKillsEveryCallThatReachesOut) {
  for (const char* attempt : {"unix-socket", "inet-socket", "signal=1", "ptrace=1", "mount", "unshare", "setuid",
                              "chroot", "fork", "bpf", "hostname", "chmod=/"})
    expect_killed(attempt);
}

TEST(FenceTest, SeccompLooksAtArguments) {
  expect_killed("tiocsti");
  EXPECT_EQ(look({"fionread"}).results["fionread"], number(ENOTTY));
}

TEST(FenceTest, SeccompRefusesWhatItsPolicySays) {
  EXPECT_EQ(look({"chdir=/"}).results["chdir"], number(EPERM));
}

TEST(FenceTest, SeccompCanRefuseOtherArgumentsInsteadOfKilling) {
  SeccompPolicy policy = probe_policy();
  policy.other_shapes = SeccompPolicy::OtherShapes::refuse;
  auto seen = testing::look({{"tiocsti", "fionread"}, *build_seccomp_filter(policy), {}, {}});
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->results["tiocsti"], number(EPERM));
  EXPECT_EQ(seen->results["fionread"], number(ENOTTY));
}

TEST(FenceTest, AFenceWithoutAListOfSystemCallsIsAnError) {
  auto seen = testing::look({{"pid"}, {}, {}, {}});
  ASSERT_FALSE(seen);
  EXPECT_EQ(seen.error().kind(), ErrorKind::internal);
}

TEST(FenceTest, NothingCanBeExecutedInside) {
  EXPECT_THAT(look({"exec=/bin/true"}).results["exec"], AnyOf(number(ENOENT), number(EACCES)));
}

TEST(FenceTest, RootGivesUpItsUser) {
  if (::geteuid() != 0) {
    EXPECT_EQ(look({"uid"}).results["uid"], std::to_string(::geteuid()));
    return;
  }
  EXPECT_NE(look({"uid"}, kNoFilters).results["uid"], "0");
}

int walls_down_for_ordinary_user() {
  if (!become_ordinary()) return 100;
  Seen seen = look({"pid"});
  int down = seen.results["pid"] == "1" ? 0 : 50;
  for (const auto& wall : seen.walls) {
    if (wall.up) continue;
    std::cerr << wall_name(wall.wall) << ": " << wall.reason << "\n";
    ++down;
  }
  return seen.walls.size() < 12 ? 99 : down;
}

TEST(FenceTest, AnOrdinaryUserHasTheSameWalls) {
  pid_t pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) ::_exit(walls_down_for_ordinary_user());
  Child child = *Child::adopt(pid);
  EXPECT_EQ(child.wait()->code, 0);
}

// The host of an ordinary user who may not make user namespaces: everything that needs no privilege still stands.
TEST(FenceTest, WithoutUserNamespacesTheOtherWallsStand) {
  pid_t pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    if (!become_ordinary()) ::_exit(100);
    Seen seen = look({"no-new-privs", "seccomp", "read=/etc/passwd"}, {Wall::user_namespace});
    bool refused = false;
    int wrong = 0;
    for (const auto& wall : seen.walls) {
      bool namespaced = wall.wall <= Wall::empty_root;
      if (wall.wall == Wall::network_namespace)
        refused = !wall.up && wall.reason.find("not permitted") != std::string::npos;
      if (wall.up == namespaced) ++wrong;
    }
    ::_exit(wrong + (refused ? 0 : 10) + (seen.results["seccomp"] == "2" ? 0 : 20) +
            (seen.results["read"] == number(EACCES) ? 0 : 40));
  }
  Child child = *Child::adopt(pid);
  EXPECT_EQ(child.wait()->code, 0);
}

TEST(FenceTest, WallsThatAreDownAreReportedWithTheReason) {
  Seen seen = look({"pid"}, {Wall::pid_namespace});
  EXPECT_NE(seen.results["pid"], "1");
  bool found = false;
  for (const auto& wall : seen.walls) {
    if (wall.wall != Wall::pid_namespace) continue;
    found = true;
    EXPECT_FALSE(wall.up);
    EXPECT_EQ(wall.reason, "switched off");
  }
  EXPECT_TRUE(found);
}

TEST(FenceTest, AFileThatIsMissingIsAnErrorAndNotAWeakerFence) {
  FencedCommand command;
  command.argv = {probe(), "pid"};
  command.files = {{probe(), FenceFile::Use::execute}, {"/does/not/exist"}};
  command.seccomp = *build_seccomp_filter(probe_policy());
  auto fenced = start_fenced(command);
  ASSERT_FALSE(fenced);
  EXPECT_THAT(fenced.error().to_string(), HasSubstr("/does/not/exist"));
}

TEST(FenceTest, AProgramThatIsMissingIsAnError) {
  FencedCommand command;
  command.argv = {"/does/not/exist"};
  command.seccomp = *build_seccomp_filter(probe_policy());
  auto fenced = start_fenced(command);
  ASSERT_FALSE(fenced);
  EXPECT_THAT(fenced.error().to_string(), HasSubstr("/does/not/exist"));
  EXPECT_EQ(fenced.error().errnum(), ENOENT);
}

}  // namespace
}  // namespace msb::fence
