// The agent's sessions, driven with frames over a socket as the host drives them.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "agent/testing/agent_process.h"
#include "base/fd.h"

namespace msb::agent {
namespace {

using testing::AgentProcess;
using testing::Received;
using testing::script;

struct AgentTest : ::testing::Test {
  AgentProcess agent;
  AgentTest() { agent.boot(); }
};

wire::ExecRequest command(std::string cmd, std::vector<std::string> args = {}) {
  auto request = script("");
  request.cmd = std::move(cmd);
  request.args = std::move(args);
  return request;
}

TEST_F(AgentTest, runs_a_process_and_keeps_its_streams_apart) {
  auto outcome = agent.run(script("echo out; echo err >&2; exit 7"));
  EXPECT_EQ(outcome.out, "out\n");
  EXPECT_EQ(outcome.err, "err\n");
  EXPECT_EQ(outcome.exited.code, 7);
  EXPECT_FALSE(outcome.exited.oom_killed);
}

TEST_F(AgentTest, started_comes_first_and_carries_the_process_id) {
  uint32_t id = agent.start(script("echo $$"));
  auto started = agent.expect<wire::ExecStarted>(id);
  EXPECT_EQ(started.stdin_window, wire::kStreamWindow);
  EXPECT_EQ(agent.finish(id).out, cat(started.pid, "\n"));
}

TEST_F(AgentTest, death_by_signal_is_128_plus_its_number) {
  EXPECT_EQ(agent.run(script("kill -TERM $$")).exited.code, 128 + SIGTERM);
}

TEST_F(AgentTest, a_process_leads_its_own_session_and_group) {
  auto request = command("/bin/sh", {"-c", "cut -d' ' -f1,5,6 /proc/$$/stat"});
  auto outcome = agent.run(request);
  auto first = outcome.out.substr(0, outcome.out.find(' '));
  EXPECT_EQ(outcome.out, cat(first, ' ', first, ' ', first, '\n'));
}

TEST_F(AgentTest, no_descriptor_of_the_agent_leaks_into_a_process) {
  EXPECT_EQ(agent.run(script("ls /proc/self/fd | tr '\\n' ' '")).out, "0 1 2 3 ");
}

TEST_F(AgentTest, signal_state_of_a_process_is_clean) {
  // What ctest's own parents ignore (some shells: the C library's signals 32 and 33) is inherited by the agent here,
  // as nothing is in a guest: the agent must add nothing to it.
  auto status = read_file("/proc/self/status");
  ASSERT_TRUE(status);
  auto ignored = status->substr(status->find("SigIgn:"), sizeof("SigIgn:\t0000000000000000\n") - 1);
  auto outcome = agent.run(command("/bin/grep", {"-E", "^Sig(Blk|Ign)", "/proc/self/status"}));
  EXPECT_EQ(outcome.out, "SigBlk:\t0000000000000000\n" + ignored);
}

TEST_F(AgentTest, environment_is_laid_over_the_sandbox_s) {
  AgentProcess other;
  wire::Bootstrap bootstrap;
  bootstrap.env = {"A=base", "B=base", "PATH=/usr/bin:/bin"};
  bootstrap.workdir = "/usr";
  other.boot(bootstrap);
  auto request = script("echo $A $B $C $PATH $(pwd) ${HOME:+home}");
  request.env = {"B=exec", "C=exec"};
  EXPECT_EQ(other.run(request).out, "base exec exec /usr/bin:/bin /usr home\n");
  request.cwd = "/tmp";
  EXPECT_EQ(other.run(request).out, "base exec exec /usr/bin:/bin /tmp home\n");
}

TEST_F(AgentTest, programs_are_found_in_the_request_s_path) {
  std::string program = agent.directory() + "/msb-tool";
  ASSERT_TRUE(write_file_atomic(program, "#!/bin/sh\necho found\n", 0755));
  auto request = command("msb-tool");
  EXPECT_EQ(agent.run(request).failed->kind, "not_found");
  request.env = {cat("PATH=/nowhere:", agent.directory())};
  EXPECT_EQ(agent.run(request).out, "found\n");
}

TEST_F(AgentTest, resource_limits_reach_the_process) {
  auto request = script("ulimit -n");
  request.rlimits = {{"nofile", 77, 88}};
  EXPECT_EQ(agent.run(request).out, "77\n");
}

struct Failure {
  const char* name;
  wire::ExecRequest request;
  const char* kind;
  int errnum;
};

TEST_F(AgentTest, failures_to_start_say_what_kind_they_are) {
  std::string dir = agent.directory();
  ASSERT_TRUE(write_file_atomic(dir + "/plain", "x", 0644));
  ASSERT_TRUE(write_file_atomic(dir + "/garbage", std::string("\x01\x02garbage\0", 10), 0755));
  ASSERT_TRUE(write_file_atomic(dir + "/orphan", "#!/no/such/interpreter\n", 0755));
  auto in_directory = script("true");
  in_directory.cwd = "/no/such/dir";
  auto as_ghost = script("true");
  as_ghost.user = "no-such-user";
  auto odd_limit = script("true");
  odd_limit.rlimits = {{"unheard", 1, 1}};
  auto nul = script(std::string("a\0b", 3));
  auto huge = script("true");
  huge.args.push_back(std::string(300'000, 'x'));
  for (const auto& [name, request, kind, errnum] : std::vector<Failure>{
           {"missing", command("msb-no-such-program"), "not_found", ENOENT},
           {"missing path", command("/no/such/program"), "not_found", ENOENT},
           {"below a file", command("/etc/passwd/x"), "not_found", ENOENT},
           {"not executable", command(dir + "/plain"), "permission_denied", EACCES},
           {"directory", command("/etc"), "permission_denied", EACCES},
           {"not a program", command(dir + "/garbage"), "not_executable", ENOEXEC},
           {"no interpreter", command(dir + "/orphan"), "not_executable", ENOENT},
           {"bad cwd", in_directory, "bad_cwd", ENOENT},
           {"unknown user", as_ghost, "user_setup_failed", 0},
           {"unknown limit", odd_limit, "resource_limit", 0},
           {"empty", command(""), "bad_args", EINVAL},
           {"NUL", nul, "bad_args", EINVAL},
           {"too long", huge, "bad_args", E2BIG},
       }) {
    auto outcome = agent.run(request);
    ASSERT_TRUE(outcome.failed) << name;
    EXPECT_EQ(outcome.failed->kind, kind) << name << ": " << outcome.failed->message;
    EXPECT_EQ(outcome.failed->errnum, errnum) << name;
    EXPECT_FALSE(outcome.failed->message.empty()) << name;
  }
  EXPECT_EQ(agent.run(script("echo alive")).out, "alive\n");
}

TEST_F(AgentTest, stdin_reaches_the_process_and_ends) {
  auto request = command("/bin/cat");
  request.stdin_open = true;
  uint32_t id = agent.start(request);
  agent.send(id, wire::ExecStdin{as_bytes("one ")});
  agent.send(id, wire::ExecStdin{as_bytes("two")});
  agent.send(id, wire::ExecStdin{});
  auto outcome = agent.finish(id);
  EXPECT_EQ(outcome.out, "one two");
  EXPECT_EQ(outcome.exited.code, 0);
}

TEST_F(AgentTest, without_stdin_a_process_reads_the_end_at_once) {
  EXPECT_EQ(agent.run(command("/bin/cat")).exited.code, 0);
}

TEST_F(AgentTest, stdin_is_credited_as_the_process_takes_it) {
  auto request = command("/usr/bin/wc", {"-c"});
  request.stdin_open = true;
  uint32_t id = agent.start(request);
  uint64_t granted = agent.expect<wire::ExecStarted>(id).stdin_window;
  constexpr uint64_t kTotal = 8 << 20;
  Bytes chunk(wire::kMaxChunk, 'x');
  for (uint64_t sent = 0; sent < kTotal; sent += chunk.size()) {
    while (granted < sent + chunk.size()) {
      auto credit = agent.expect<wire::ExecCredit>(id);
      EXPECT_EQ(credit.stream, wire::Stream::in);
      granted += credit.bytes;
      ASSERT_LE(granted, sent + wire::kStreamWindow);
    }
    agent.send(id, wire::ExecStdin{chunk});
  }
  agent.send(id, wire::ExecStdin{});
  EXPECT_EQ(agent.finish(id).out, cat(kTotal, "\n"));
}

TEST_F(AgentTest, more_stdin_than_granted_ends_the_session_and_nothing_else) {
  auto request = command("/bin/sleep", {"1000"});
  request.stdin_open = true;
  uint32_t id = agent.start(request);
  auto pid = static_cast<pid_t>(agent.expect<wire::ExecStarted>(id).pid);
  Bytes chunk(wire::kMaxChunk, 'x');
  // The pipe itself takes one chunk.
  for (uint64_t sent = 0; sent < wire::kStreamWindow + 2 * chunk.size(); sent += chunk.size())
    agent.send(id, wire::ExecStdin{chunk});
  auto error = agent.expect<wire::ProtocolError>(id);
  EXPECT_EQ(error.kind, "invalid_payload");
  EXPECT_EQ(agent.run(script(cat("while kill -0 ", pid, " 2>/dev/null; do :; done; echo gone"))).out, "gone\n");
}

TEST_F(AgentTest, a_process_that_closes_its_stdin_is_reported) {
  auto request = script("exec <&-; echo closed; while :; do sleep 1; done");
  request.stdin_open = true;
  uint32_t id = agent.start(request);
  agent.expect<wire::ExecStarted>(id);
  agent.expect<wire::ExecStdout>(id);
  agent.send(id, wire::ExecStdin{as_bytes("unheard")});
  EXPECT_EQ(agent.expect<wire::ExecStdinError>(id).errnum, EPIPE);
  agent.send(id, wire::ExecSignal{SIGKILL});
  EXPECT_EQ(agent.finish(id).exited.code, 128 + SIGKILL);
}

// 64 MiB through a window of 100 000 bytes: never more than granted, and nothing lost.
TEST_F(AgentTest, output_keeps_to_its_window) {
  constexpr uint64_t kTotal = uint64_t{64} << 20;
  constexpr uint64_t kWindow = 100'000;
  auto request = script(cat("head -c ", kTotal, " /dev/zero"));
  request.window = kWindow;
  uint32_t id = agent.start(request);
  agent.expect<wire::ExecStarted>(id);
  uint64_t granted = kWindow, received = 0;
  while (true) {
    Received frame = agent.next_of(id);
    if (frame.type == wire::ExecExited::kType) break;
    received += frame.as<wire::ExecStdout>().data.size();
    ASSERT_LE(received, granted);
    // Granted in uneven pieces, late.
    if (granted - received >= kWindow / 3) continue;
    uint64_t more = kWindow - (granted - received);
    granted += more;
    agent.send(id, wire::ExecCredit{wire::Stream::out, more});
  }
  EXPECT_EQ(received, kTotal);
}

TEST_F(AgentTest, a_client_without_windows_gets_everything) {
  auto request = script("head -c 20000000 /dev/zero");
  request.window.reset();
  EXPECT_EQ(agent.run(request).out.size(), 20'000'000u);
}

TEST_F(AgentTest, a_stalled_reader_stalls_only_its_own_stream) {
  auto stalled = script("head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2; exit 3");
  stalled.window = 1000;
  uint32_t id = agent.start(stalled);
  agent.expect<wire::ExecStarted>(id);
  // Another session moves far more than any buffer while the first one waits.
  EXPECT_EQ(agent.run(script("head -c 8000000 /dev/zero")).out.size(), 8'000'000u);
  agent.send(id, wire::ExecCredit{wire::Stream::out, 10'000'000});
  agent.send(id, wire::ExecCredit{wire::Stream::err, 10'000'000});
  auto outcome = agent.finish(id);
  EXPECT_EQ(outcome.out.size(), 1'000'000u);
  EXPECT_EQ(outcome.err.size(), 1'000'000u);
  EXPECT_EQ(outcome.exited.code, 3);
}

TEST_F(AgentTest, a_host_that_does_not_read_costs_bounded_memory) {
  std::string path = agent.directory() + "/fifo";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  auto fifo = open_file(path, O_RDWR);
  ASSERT_TRUE(fifo);
  auto endless = command("/bin/cat", {"/dev/zero"});
  endless.window.reset();
  uint32_t id = agent.start(endless);
  agent.expect<wire::ExecStarted>(id);
  // From here on nothing is read of what the agent sends. That it still serves others shows in the pipe; an agent
  // that took what the endless one writes would take a pipe's content (64 KiB) at the least for each of them.
  for (int i = 0; i < 100; ++i) {
    agent.start(script(cat("echo x > ", path)));
    uint8_t mark[2];
    ASSERT_TRUE(read_full(fifo->get(), mark));
  }
  agent.send(id, wire::ExecSignal{SIGKILL});
  auto outcome = agent.finish(id);
  EXPECT_EQ(outcome.exited.code, 128 + SIGKILL);
  // The agent's queue, the socket's buffers, the pipe.
  EXPECT_LT(outcome.out.size(), size_t{4} << 20);
}

TEST_F(AgentTest, what_a_pipe_holds_at_the_end_is_sent_but_grandchildren_are_not_waited_for) {
  auto request = script("echo last words; sleep 1000 & echo $! >&2; exit 5");
  auto outcome = agent.run(request);
  EXPECT_EQ(outcome.out, "last words\n");
  EXPECT_EQ(outcome.exited.code, 5);
  agent.run(script(cat("kill ", outcome.err)));
}

TEST_F(AgentTest, exit_waits_for_credit_when_output_is_left) {
  auto request = script("head -c 5000 /dev/zero; exit 9");
  request.window = 1000;
  uint32_t id = agent.start(request);
  agent.expect<wire::ExecStarted>(id);
  EXPECT_EQ(agent.expect<wire::ExecStdout>(id).data.size(), 1000u);
  agent.run(script("true"));
  agent.send(id, wire::ExecCredit{wire::Stream::out, 100'000});
  auto outcome = agent.finish(id);
  EXPECT_EQ(outcome.out.size(), 4000u);
  EXPECT_EQ(outcome.exited.code, 9);
}

TEST_F(AgentTest, a_signal_reaches_the_whole_group) {
  uint32_t id = agent.start(script("sleep 1000 & echo $!; wait"));
  agent.expect<wire::ExecStarted>(id);
  std::string grandchild = agent.next_text(id);
  agent.send(id, wire::ExecSignal{SIGTERM});
  EXPECT_EQ(agent.finish(id).exited.code, 128 + SIGTERM);
  grandchild.pop_back();
  EXPECT_EQ(agent.run(script(cat("while kill -0 ", grandchild, " 2>/dev/null; do :; done; echo gone"))).out, "gone\n");
}

TEST_F(AgentTest, a_terminal_has_a_size_that_changes) {
  auto request = script("stty size; trap 'stty size; exit 4' WINCH; echo ready; while :; do sleep 1; done");
  request.tty = true;
  request.rows = 33;
  request.cols = 44;
  request.stdin_open = true;
  uint32_t id = agent.start(request);
  agent.expect<wire::ExecStarted>(id);
  std::string seen;
  while (seen.find("ready") == std::string::npos) seen += agent.next_text(id);
  EXPECT_NE(seen.find("33 44"), std::string::npos);
  agent.send(id, wire::ExecResize{55, 66});
  auto outcome = agent.finish(id);
  EXPECT_NE(outcome.out.find("55 66"), std::string::npos);
  EXPECT_EQ(outcome.exited.code, 4);
}

TEST_F(AgentTest, a_terminal_echoes_controls_jobs_and_knows_its_name) {
  auto request = script("tty; echo $TERM; exec cat");
  request.tty = true;
  request.stdin_open = true;
  uint32_t id = agent.start(request);
  agent.send(id, wire::ExecStdin{as_bytes("hello\n")});
  agent.send(id, wire::ExecStdin{});
  auto outcome = agent.finish(id);
  EXPECT_NE(outcome.out.find("/dev/pts/"), std::string::npos);
  EXPECT_NE(outcome.out.find("xterm"), std::string::npos);
  EXPECT_NE(outcome.out.find("hello\r\n"), std::string::npos);
  EXPECT_EQ(outcome.exited.code, 0);

  uint32_t interrupted = agent.start(request);
  std::string seen;
  agent.expect<wire::ExecStarted>(interrupted);
  while (seen.find("xterm") == std::string::npos) seen += agent.next_text(interrupted);
  agent.send(interrupted, wire::ExecStdin{as_bytes("\x03")});
  EXPECT_EQ(agent.finish(interrupted).exited.code, 128 + SIGINT);
}

TEST_F(AgentTest, everything_a_terminal_program_wrote_arrives_before_its_exit) {
  auto request = script("seq 1 20000");
  request.tty = true;
  auto outcome = agent.run(request);
  EXPECT_TRUE(outcome.out.ends_with("20000\r\n"));
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 20000);
}

TEST_F(AgentTest, two_hundred_sessions_at_once) {
  std::vector<uint32_t> ids;
  for (int i = 0; i < 200; ++i) {
    auto request = script(cat("read x; echo $x ", i));
    request.stdin_open = true;
    ids.push_back(agent.start(request));
  }
  for (uint32_t id : ids) agent.send(id, wire::ExecStdin{as_bytes("go\n")});
  for (size_t i = 0; i < ids.size(); ++i) {
    auto outcome = agent.finish(ids[i]);
    EXPECT_EQ(outcome.out, cat("go ", i, "\n"));
    EXPECT_EQ(outcome.exited.code, 0);
  }
}

TEST_F(AgentTest, a_detached_session_outlives_its_client) {
  std::string mark = agent.directory() + "/mark";
  uint32_t id = agent.start(script(cat("head -c 1000000 /dev/zero; echo survived > ", mark)));
  agent.send(id, wire::ExecDetach{});
  agent.send(0, wire::ClientDisconnected{0, 100});
  agent.run(script(cat("while ! [ -s ", mark, " ]; do :; done")));
  EXPECT_EQ(read_file(mark).value(), "survived\n");
}

TEST_F(AgentTest, a_client_that_goes_away_takes_its_sessions_along) {
  uint32_t mine = agent.start(script("sleep 1000 & wait"));
  auto pid = agent.expect<wire::ExecStarted>(mine).pid;
  agent.send(0, wire::ClientDisconnected{mine, mine + 1});
  EXPECT_EQ(agent.run(script(cat("while kill -0 -", pid, " 2>/dev/null; do :; done; echo gone"))).out, "gone\n");
}

}  // namespace
}  // namespace msb::agent
