// Each attempt is made in a thread that has restrained itself as the network's does, in a process of its own.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <thread>

#include "base/temp_dir.h"
#include "vmm/network.h"

namespace msb::vmm {
namespace {

class NetworkRestraint : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::mkdir((directory_.path() + "/logs").c_str(), 0700), 0);
    ASSERT_TRUE(write_file_atomic(directory_.path() + "/secret", "text"));
  }
  // Exit code, or -signal.
  int fate_of(const std::function<int()>& attempt) {
    pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      std::thread([&] { ::_exit(restrain_network_thread(directory_.path() + "/logs") ? attempt() : 255); }).join();
    }
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  int opening(const std::string& path, int flags) {
    return fate_of([&] { return ::open(path.c_str(), flags, 0600) < 0 ? errno : 0; });
  }
  TempDir directory_ = TempDir::create().value();
};

TEST_F(NetworkRestraint, LeavesSocketsOfTheInternetTheLogAndTheNameServers) {
  for (int family : {AF_INET, AF_INET6})
    for (int type : {SOCK_STREAM, SOCK_DGRAM})
      EXPECT_EQ(fate_of([&] { return ::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) < 0 ? errno : 0; }), 0);
  EXPECT_EQ(opening(directory_.path() + "/logs/network.log", O_WRONLY | O_CREAT | O_APPEND), 0);
  EXPECT_EQ(opening("/etc/resolv.conf", O_RDONLY), 0);
}

TEST_F(NetworkRestraint, ConnectsToTcpPorts) {
  EXPECT_EQ(fate_of([] {
              const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
              const net::SocketAddress nobody = net::to_socket_address({net::Ip::v4(127, 0, 0, 1), 1});
              return ::connect(socket, nobody.get(), nobody.size) < 0 ? errno : 0;
            }),
            ECONNREFUSED);
}

TEST_F(NetworkRestraint, OpensNoOtherFile) {
  EXPECT_EQ(opening(directory_.path() + "/secret", O_RDONLY), EACCES);
  EXPECT_EQ(opening("/etc/shadow", O_RDONLY), EACCES);
  EXPECT_EQ(opening("/etc/resolv.conf", O_RDWR), EACCES);
}

TEST_F(NetworkRestraint, OtherSocketsAndProcessesKill) {
  EXPECT_EQ(fate_of([] { return ::socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 0; }), -SIGSYS);
  EXPECT_EQ(fate_of([] { return ::socket(AF_NETLINK, SOCK_RAW, 0) < 0 ? errno : 0; }), -SIGSYS);
  EXPECT_EQ(fate_of([] { return ::fork() < 0 ? errno : 0; }), -SIGSYS);
  EXPECT_EQ(fate_of([] { return ::kill(::getppid(), 0) < 0 ? errno : 0; }), -SIGSYS);
}

TEST_F(NetworkRestraint, RootHasNoRawSocketEither) {
  EXPECT_NE(fate_of([] { return ::socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0 ? errno : 0; }), 0);
}

}  // namespace
}  // namespace msb::vmm
