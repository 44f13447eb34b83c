#include "base/child.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace msb {
namespace {

SpawnOptions shell(const std::string& script) {
  SpawnOptions options;
  options.argv = {"/bin/sh", "-c", script};
  return options;
}

TEST(Child, reports_exit_code_and_signal) {
  auto exits = Child::spawn(shell("exit 3")).value();
  EXPECT_EQ(exits.wait().value().code, 3);
  auto dies = Child::spawn(shell("kill -TERM $$")).value();
  auto status = dies.wait().value();
  EXPECT_EQ(status.signal, SIGTERM);
  EXPECT_EQ(status.code, 128 + SIGTERM);
}

TEST(Child, a_missing_program_is_an_error_here) {
  SpawnOptions options;
  options.argv = {"msb-no-such-program"};
  auto child = Child::spawn(options);
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().errnum(), ENOENT);
}

TEST(Child, descriptors_swap_places) {
  auto first = make_pipe().value();
  auto second = make_pipe().value();
  // Ask for each write end under the other's number: a naive dup2 chain would lose one.
  int a = first.write.get(), b = second.write.get();
  auto options = shell(cat("echo A >&", b, "; echo B >&", a));
  options.fds = {{a, b}, {b, a}};
  auto child = Child::spawn(options).value();
  ASSERT_TRUE(child.wait().value().success());
  first.write.reset();
  second.write.reset();
  EXPECT_EQ(as_text(read_all(first.read.get(), 100).value()), "A\n");
  EXPECT_EQ(as_text(read_all(second.read.get(), 100).value()), "B\n");
}

TEST(Child, an_orphan_is_no_child_and_its_end_shows) {
  auto out = make_pipe().value();
  auto options = shell("echo $PPID; read line");
  auto in = make_pipe().value();
  options.fds = {{in.read.get(), 0}, {out.write.get(), 1}};
  auto orphan = spawn_orphan(options).value();
  out.write.reset();
  in.write.reset();  // lets it end
  EXPECT_NE(as_text(read_all(out.read.get(), 100).value_or(Bytes{})), cat(::getpid(), "\n"));
  EXPECT_EQ(::waitpid(orphan.pid, nullptr, __WALL), -1);
  EXPECT_EQ(errno, ECHILD);
  pollfd ended{.fd = orphan.pidfd.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&ended, 1, -1), 1);
}

TEST(Child, an_orphan_that_cannot_start_is_an_error_here) {
  SpawnOptions options;
  options.argv = {"msb-no-such-program"};
  auto orphan = spawn_orphan(options);
  ASSERT_FALSE(orphan);
  EXPECT_EQ(orphan.error().errnum(), ENOENT);
}

TEST(Child, environment_is_replaced_when_asked) {
  auto out = make_pipe().value();
  auto options = shell("echo \"$ONLY:$HOME\"");
  options.clear_env = true;
  options.env = {"ONLY=this"};
  options.fds = {{out.write.get(), 1}};
  auto child = Child::spawn(options).value();
  ASSERT_TRUE(child.wait().value().success());
  out.write.reset();
  EXPECT_EQ(as_text(read_all(out.read.get(), 100).value()), "this:\n");
}

TEST(Child, destruction_kills_and_reaps) {
  pid_t pid;
  {
    auto child = Child::spawn(shell("exec sleep 1000")).value();
    pid = child.pid();
    pollfd waiting{child.pidfd(), POLLIN, 0};
    EXPECT_EQ(::poll(&waiting, 1, 0), 0);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST(Child, run_capture_feeds_stdin_and_returns_stdout) {
  EXPECT_EQ(run_capture({"cat"}, 100, "text").value(), "text");
  EXPECT_FALSE(run_capture({"cat"}, 3, "text"));
}

TEST(Child, run_capture_carries_the_complaint) {
  auto outcome = run_capture({"/bin/sh", "-c", "echo broken >&2; exit 4"});
  ASSERT_FALSE(outcome);
  EXPECT_NE(outcome.error().message().find("broken"), std::string::npos);
  EXPECT_NE(outcome.error().message().find("4"), std::string::npos);
}

}  // namespace
}  // namespace msb
