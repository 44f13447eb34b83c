// Each attempt is made in a thread that has restrained itself as the share's does, in a process of its own.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <iostream>
#include <thread>

#include "base/temp_dir.h"
#include "vmm/shares.h"

namespace msb::vmm {
namespace {

class ShareRestraint : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"/shared", "/readable", "/files", "/other"})
      ASSERT_EQ(::mkdir((directory_.path() + name).c_str(), 0700), 0);
    for (const char* name : {"/shared/f", "/readable/f", "/files/one", "/files/two", "/other/f"})
      ASSERT_TRUE(write_file_atomic(directory_.path() + name, "text"));
    shares_.push_back({"0", directory("/shared"), {}});
    shares_.push_back({"1", directory("/readable"), {.writable = fs::Writable::no}});
    shares_.push_back({"2", directory("/files"), {.only = "one"}});
  }
  Fd directory(const std::string& name) { return open_file(directory_.path() + name, O_PATH | O_DIRECTORY).value(); }
  // Exit code, or -signal.
  int fate_of(const std::function<int()>& attempt) {
    pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      std::thread([&] {
        auto walls = restrain_share_thread(shares_);
        if (!walls) std::cerr << walls.error().to_string() << "\n";
        ::_exit(walls ? attempt() : 255);
      }).join();
    }
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  int opening(const std::string& name, int flags) {
    return fate_of([&] { return ::open((directory_.path() + name).c_str(), flags, 0600) < 0 ? errno : 0; });
  }
  TempDir directory_ = TempDir::create().value();
  std::vector<fs::Share> shares_;
};

TEST_F(ShareRestraint, LeavesWhatIsShared) {
  EXPECT_EQ(opening("/shared/f", O_RDWR | O_TRUNC), 0);
  EXPECT_EQ(opening("/shared/new", O_WRONLY | O_CREAT), 0);
  EXPECT_EQ(opening("/shared", O_RDONLY | O_DIRECTORY), 0);
  EXPECT_EQ(opening("/readable/f", O_RDONLY), 0);
  EXPECT_EQ(opening("/readable", O_RDONLY | O_DIRECTORY), 0);
  EXPECT_EQ(opening("/files/one", O_RDWR), 0);
  EXPECT_EQ(fate_of([&] {
              int at = shares_[0].root.get();
              if (::mkdirat(at, "d", 0700) < 0 || ::symlinkat("/etc", at, "d/l") < 0) return errno;
              if (::linkat(at, "f", at, "d/f", 0) < 0 || ::renameat(at, "d/f", at, "g") < 0) return errno;
              return ::unlinkat(at, "d/l", 0) < 0 || ::unlinkat(at, "d", AT_REMOVEDIR) < 0 ? errno : 0;
            }),
            0);
}

TEST_F(ShareRestraint, KeepsItFromEverythingElse) {
  EXPECT_EQ(opening("/readable/f", O_RDWR), EACCES);
  EXPECT_EQ(opening("/readable/new", O_WRONLY | O_CREAT), EACCES);
  EXPECT_EQ(opening("/files/two", O_RDONLY), EACCES);
  EXPECT_EQ(opening("/other/f", O_RDONLY), EACCES);
  EXPECT_EQ(fate_of([] { return ::open("/etc/passwd", O_RDONLY) < 0 ? errno : 0; }), EACCES);
  EXPECT_EQ(fate_of([&] { return ::mkfifoat(shares_[0].root.get(), "fifo", 0600) < 0 ? errno : 0; }), -SIGSYS);
}

// An ordinary user has none to begin with.
TEST_F(ShareRestraint, KeepsNoCapabilityButThoseOverFiles) {
  const std::string file = directory_.path() + "/shared/f";
  EXPECT_EQ(fate_of([&] { return ::setxattr(file.c_str(), "user.test", "x", 1, 0) < 0 ? errno : 0; }), 0);
  EXPECT_EQ(fate_of([&] { return ::setxattr(file.c_str(), "trusted.test", "x", 1, 0) < 0 ? errno : 0; }), EPERM);
}

TEST_F(ShareRestraint, KillsItWhenItReachesOut) {
  EXPECT_EQ(fate_of([] { return ::socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 0; }), -SIGSYS);
  EXPECT_EQ(fate_of([] { return ::execl("/bin/true", "true", nullptr) < 0 ? errno : 0; }), -SIGSYS);
  EXPECT_EQ(fate_of([] { return ::fork() < 0 ? errno : 0; }), -SIGSYS);
  EXPECT_EQ(fate_of([] { return ::kill(::getppid(), 0) < 0 ? errno : 0; }), -SIGSYS);
}

}  // namespace
}  // namespace msb::vmm
