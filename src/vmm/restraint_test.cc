// Each attempt is made in a child process that has restrained itself as the vmm process does.
#include "vmm/restraint.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <iostream>

#include "base/fd.h"
#include "base/temp_dir.h"
#include "state/cgroup_trace.h"
#include "state/database.h"

namespace msb::vmm {
namespace {

struct Fate {
  int code = -1;   // exit code: errno of the attempt, 0 when it worked
  int signal = 0;  // what killed it
};

class Restraint : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"mine", "other"}) {
      ASSERT_TRUE(home_.make_dir(home_.sandbox_dir(name)));
      ASSERT_TRUE(write_file_atomic(home_.upper(name), "disk"));
    }
    ASSERT_TRUE(home_.make_dir(home_.layers_dir()));
    ASSERT_TRUE(write_file_atomic(home_.layers_dir() + "/layer", "layer"));
    ASSERT_TRUE(state::Database::open(home_));
  }

  Fate fate_of(const std::function<int()>& attempt) {
    pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      auto walls = restrain_vmm_process(home_, "mine");
      if (!walls) {
        std::cerr << walls.error().to_string() << "\n";
        ::_exit(255);
      }
      ::_exit(attempt());
    }
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0};
  }
  static int opening(const std::string& path, int flags) { return ::open(path.c_str(), flags, 0600) < 0 ? errno : 0; }

  TempDir directory_ = TempDir::create().value();
  state::Home home_ = state::Home::at(directory_.path()).value();
};

// A directory plays the control group.
TEST_F(Restraint, RemovesItsMachinesControlGroupAndMakesNone) {
  std::string groups = home_.tmp_dir() + "/groups";
  ASSERT_TRUE(home_.make_dir(groups + "/mine"));
  ASSERT_TRUE(write_file_atomic(groups + "/memory.max", "max"));
  ASSERT_TRUE(state::leave_cgroup_trace(home_, "mine", groups + "/mine"));
  EXPECT_EQ(fate_of([&] { return ::mkdir((groups + "/new").c_str(), 0700) < 0 ? errno : 0; }).code, EACCES);
  EXPECT_EQ(fate_of([&] { return opening(groups + "/memory.max", O_WRONLY); }).code, EACCES);
  Fate removed = fate_of([&] {
    state::remove_cgroup(home_.cgroup_trace("mine"));
    return state::traced_cgroup(home_.cgroup_trace("mine")).empty() ? 0 : 1;
  });
  EXPECT_EQ(removed.code, 0);
  EXPECT_FALSE(path_exists(groups + "/mine"));
}

TEST_F(Restraint, LeavesItsOwnSandboxTheDatabaseAndTheRunDirectory) {
  EXPECT_EQ(fate_of([&] { return opening(home_.upper("mine"), O_RDWR); }).code, 0);
  EXPECT_EQ(fate_of([&] { return opening(home_.sandbox_dir("mine") + "/new", O_CREAT | O_WRONLY); }).code, 0);
  EXPECT_EQ(fate_of([&] { return opening(home_.run_dir() + "/new.sock", O_CREAT | O_WRONLY); }).code, 0);
  EXPECT_EQ(fate_of([&] {
              auto database = state::Database::open(home_);
              return database && database->run("DELETE FROM sandbox") ? 0 : 1;
            }).code,
            0);
}

TEST_F(Restraint, KeepsItFromOtherSandboxesTheImageCacheAndTheHost) {
  EXPECT_EQ(fate_of([&] { return opening(home_.upper("other"), O_RDONLY); }).code, EACCES);
  EXPECT_EQ(fate_of([&] { return opening(home_.sandbox_dir("other") + "/new", O_CREAT | O_WRONLY); }).code, EACCES);
  EXPECT_EQ(fate_of([&] { return opening(home_.layers_dir() + "/layer", O_RDONLY); }).code, EACCES);
  EXPECT_EQ(fate_of([&] { return ::unlink((home_.layers_dir() + "/layer").c_str()) < 0 ? errno : 0; }).code, EACCES);
  EXPECT_EQ(fate_of([&] { return opening("/etc/passwd", O_RDONLY); }).code, EACCES);
  EXPECT_EQ(fate_of([&] { return opening("/proc/1/environ", O_RDONLY); }).code, EACCES);
  EXPECT_EQ(fate_of([&] { return opening(directory_.path() + "/evil", O_CREAT | O_WRONLY); }).code, EACCES);
}

TEST_F(Restraint, StillRemovesItsOwnDirectory) {
  EXPECT_EQ(fate_of([&] {
              auto trash = home_.trash_dir() + "/x";
              if (::rename(home_.sandbox_dir("mine").c_str(), trash.c_str()) < 0) return errno;
              return remove_tree(trash) ? 0 : 1;
            }).code,
            0);
  EXPECT_EQ(::access(home_.sandbox_dir("mine").c_str(), F_OK), -1);
}

TEST_F(Restraint, MovesNobodyElsesFilesIntoTheTrash) {
  EXPECT_EQ(fate_of([&] {
              return ::rename(home_.upper("other").c_str(), (home_.trash_dir() + "/x").c_str()) < 0 ? errno : 0;
            }).code,
            EACCES);
  EXPECT_EQ(fate_of([&] {
              return ::rename((home_.layers_dir() + "/layer").c_str(), (home_.trash_dir() + "/x").c_str()) < 0 ? errno
                                                                                                               : 0;
            }).code,
            EACCES);
}

TEST_F(Restraint, KillsItWhenItMakesAProcessOrLooksAtOne) {
  EXPECT_EQ(fate_of([] { return ::ptrace(PTRACE_TRACEME, 0, 0, 0) < 0 ? errno : 0; }).signal, SIGSYS);
  EXPECT_EQ(fate_of([] { return ::kill(::getppid(), 0) < 0 ? errno : 0; }).signal, SIGSYS);
  EXPECT_EQ(fate_of([] { return ::unshare(CLONE_NEWUSER) < 0 ? errno : 0; }).signal, SIGSYS);
}

TEST_F(Restraint, RefusesProgramsProcessesAndSocketsOfTheNetwork) {
  EXPECT_EQ(fate_of([] { return ::execl("/bin/true", "true", nullptr) < 0 ? errno : 0; }).code, EPERM);
  EXPECT_EQ(fate_of([] { return ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) < 0 ? errno : 0; }).code, EPERM);
  EXPECT_EQ(fate_of([] { return ::socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0; }).code, EPERM);
  EXPECT_EQ(fate_of([] { return ::socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 0; }).code, 0);
}

TEST_F(Restraint, AllowsSignalsToItselfOnly) {
  EXPECT_EQ(fate_of([] { return ::raise(SIGTERM); }).signal, SIGTERM);
  EXPECT_EQ(fate_of([] {
              pid_t parent = ::getppid();
              return ::syscall(SYS_tgkill, parent, parent, 0) < 0 ? errno : 0;
            }).code,
            EPERM);
}

}  // namespace
}  // namespace msb::vmm
