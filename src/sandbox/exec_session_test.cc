#include "sandbox/exec_session.h"

#include <gmock/gmock.h>
#include <sys/un.h>

#include <thread>

#include "base/temp_dir.h"
#include "sandbox/exec_request.h"
#include "sandbox/testing/fake_relay.h"

namespace msb {
namespace testing {

FakeProcess FakeProcess::start(const std::string& command, const ExecOptions& options) {
  auto [relay, client] = FakeRelay::create();
  auto connection = AgentConnection::greet(std::move(client), std::nullopt);
  EXPECT_TRUE(connection);
  auto state = ExecHandle::State::start("box", std::move(*connection), *make_exec_request(command, options), options);
  EXPECT_TRUE(state);
  auto request = relay.expect<wire::ExecRequest>();
  return {std::move(relay), ExecHandle(std::move(*state)), std::move(request)};
}

}  // namespace testing
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using testing::FakeProcess;
using testing::FakeRelay;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// Plays `cat`: sends back what comes on stdin, within both windows, until its end.
void echo(FakeRelay& relay, uint64_t stdin_window) {
  relay.send(wire::ExecStarted{.pid = 1, .stdin_window = stdin_window});
  uint64_t credit = wire::kStreamWindow;
  std::string pending;
  bool ended = false;
  while (!ended || !pending.empty()) {
    std::string piece = pending.substr(0, std::min<size_t>(credit, wire::kMaxChunk));
    if (!piece.empty()) {
      pending.erase(0, piece.size());
      credit -= piece.size();
      relay.stdout_data(piece);
      relay.send(wire::ExecCredit{wire::Stream::in, piece.size()});
      continue;
    }
    wire::Envelope envelope = relay.next_envelope();
    if (envelope.type == wire::ExecCredit::kType) {
      credit += wire::decode<wire::ExecCredit>(envelope.payload)->bytes;
    } else {
      auto data = wire::decode<wire::ExecStdin>(envelope.payload)->data;
      pending += as_text(data);
      ended = data.empty();
    }
  }
  relay.exit(0);
}

ExecEvent::Kind next_kind(ExecHandle& handle) {
  auto event = handle.recv();
  EXPECT_TRUE(event) << (event ? "" : event.error().to_string());
  return event && *event ? (*event)->kind : ExecEvent::Kind::stdin_error;
}

TEST(ExecSession, request_carries_what_was_asked_and_a_window) {
  ExecOptions options;
  options.args = {"-c", "true"};
  options.env = {{"A", "1"}, {"B", "2"}, {"A", "3"}};
  options.cwd = "/tmp";
  options.user = "nobody";
  options.rlimits = {{"nofile", 10, 20}};
  auto process = FakeProcess::start("sh", options);
  EXPECT_EQ(process.request.cmd, "sh");
  EXPECT_THAT(process.request.args, ElementsAre("-c", "true"));
  EXPECT_THAT(process.request.env, ElementsAre("A=3", "B=2"));
  EXPECT_EQ(process.request.cwd, "/tmp");
  EXPECT_EQ(process.request.user, "nobody");
  EXPECT_EQ(process.request.window, wire::kStreamWindow);
  EXPECT_FALSE(process.request.stdin_open);
  ASSERT_EQ(process.request.rlimits.size(), 1u);
  EXPECT_EQ(process.request.rlimits[0].hard, 20u);
}

TEST(ExecSession, collect_keeps_both_streams_and_the_code) {
  auto process = FakeProcess::start("sh", {});
  process.relay.send(wire::ExecStarted{.pid = 7, .stdin_window = 0});
  process.relay.stdout_data("out");
  process.relay.stderr_data("err");
  process.relay.stdout_data("put");
  process.relay.exit(3);
  auto output = process.handle.collect();
  ASSERT_TRUE(output);
  EXPECT_EQ(output->stdout_bytes, "output");
  EXPECT_EQ(output->stderr_bytes, "err");
  EXPECT_EQ(output->exit_code, 3);
  EXPECT_FALSE(output->success());
  EXPECT_TRUE(process.handle.finished());
}

TEST(ExecSession, events_come_in_order_and_end_with_nothing) {
  auto process = FakeProcess::start("sh", {});
  process.relay.send(wire::ExecStarted{.pid = 7, .stdin_window = 0});
  process.relay.stdout_data("x");
  process.relay.exit(0);
  auto started = process.handle.recv();
  ASSERT_TRUE(started && *started);
  EXPECT_EQ((*started)->pid, 7u);
  EXPECT_EQ(next_kind(process.handle), ExecEvent::Kind::stdout_data);
  EXPECT_FALSE(process.handle.finished());
  EXPECT_EQ(next_kind(process.handle), ExecEvent::Kind::exited);
  auto end = process.handle.recv();
  ASSERT_TRUE(end);
  EXPECT_FALSE(*end);
}

TEST(ExecSession, frames_of_other_sessions_and_unknown_types_are_ignored) {
  auto process = FakeProcess::start("sh", {});
  process.relay.send(wire::ExecStdout{as_bytes("theirs")}, 0, testing::kFirstId + 1);
  process.relay.send_raw(wire::make_frame(testing::kFirstId, 0, "core.future", wire::encode(wire::Ping{})));
  process.relay.exit(0);
  auto output = process.handle.collect();
  ASSERT_TRUE(output);
  EXPECT_THAT(output->stdout_bytes, IsEmpty());
}

TEST(ExecSession, half_a_window_taken_is_granted_again) {
  auto process = FakeProcess::start("cat", {});
  std::string chunk(wire::kMaxChunk, 'x');
  std::thread guest([&] {
    for (size_t sent = 0; sent < wire::kStreamWindow / 2; sent += chunk.size()) process.relay.stdout_data(chunk);
  });
  size_t taken = 0;
  while (taken < wire::kStreamWindow / 2) {
    EXPECT_FALSE(process.relay.has_message());
    auto event = process.handle.recv();
    ASSERT_TRUE(event && *event);
    taken += (*event)->data.size();
  }
  guest.join();
  auto credit = process.relay.expect<wire::ExecCredit>();
  EXPECT_EQ(credit.stream, wire::Stream::out);
  EXPECT_EQ(credit.bytes, taken);
}

TEST(ExecSession, a_consumer_that_stalls_grants_nothing) {
  auto process = FakeProcess::start("cat", {});
  std::thread guest([&] {
    std::string chunk(wire::kMaxChunk, 'x');
    for (size_t sent = 0; sent < wire::kStreamWindow; sent += chunk.size()) process.relay.stdout_data(chunk);
    process.relay.exit(0);
  });
  ASSERT_TRUE(process.handle.try_recv());
  EXPECT_FALSE(process.relay.has_message());
  auto output = process.handle.collect();
  guest.join();
  ASSERT_TRUE(output);
}

TEST(ExecSession, a_guest_that_ignores_its_window_ends_the_session) {
  auto process = FakeProcess::start("yes", {.stdin_mode = StdinMode::pipe});
  std::thread guest([&] {
    std::string chunk(wire::kMaxChunk, 'x');
    for (size_t sent = 0; sent <= wire::kStreamWindow; sent += chunk.size()) process.relay.stdout_data(chunk);
  });
  // Waiting for room on stdin reads what arrives without taking it.
  auto written = process.handle.write_stdin("x");
  guest.join();
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind(), ErrorKind::protocol);
}

TEST(ExecSession, stdin_bytes_are_sent_as_the_window_allows_then_end_of_file) {
  auto process = FakeProcess::start("cat", {.stdin_mode = StdinMode::bytes, .stdin_bytes = "abcdef"});
  EXPECT_TRUE(process.request.stdin_open);
  std::string got;
  std::thread guest([&] {
    process.relay.send(wire::ExecStarted{.pid = 1, .stdin_window = 4});
    got += as_text(process.relay.expect<wire::ExecStdin>().data);
    EXPECT_EQ(got, "abcd");
    EXPECT_FALSE(process.relay.has_message());
    process.relay.stdout_data("read 4");
    process.relay.send(wire::ExecCredit{wire::Stream::in, 100});
    got += as_text(process.relay.expect<wire::ExecStdin>().data);
    EXPECT_THAT(process.relay.expect<wire::ExecStdin>().data, IsEmpty());
    process.relay.exit(0);
  });
  auto output = process.handle.collect();
  guest.join();
  ASSERT_TRUE(output);
  EXPECT_EQ(got, "abcdef");
  EXPECT_EQ(output->stdout_bytes, "read 4");
}

TEST(ExecSession, large_stdin_and_large_output_at_once_do_not_deadlock) {
  std::string input(3 << 20, 'i');
  auto process = FakeProcess::start("cat", {.stdin_mode = StdinMode::bytes, .stdin_bytes = input});
  std::thread guest([&] { echo(process.relay, wire::kStreamWindow); });
  auto output = process.handle.collect();
  guest.join();
  ASSERT_TRUE(output) << output.error().to_string();
  EXPECT_EQ(output->stdout_bytes, input);
}

TEST(ExecSession, writer_thread_and_reader_thread_share_a_handle) {
  std::string input(2 << 20, 'w');
  auto process = FakeProcess::start("cat", {.stdin_mode = StdinMode::pipe});
  std::thread guest([&] { echo(process.relay, 1000); });
  std::thread writer([&] {
    EXPECT_TRUE(process.handle.write_stdin(input));
    EXPECT_TRUE(process.handle.close_stdin());
  });
  auto output = process.handle.collect();
  writer.join();
  guest.join();
  ASSERT_TRUE(output) << output.error().to_string();
  EXPECT_EQ(output->stdout_bytes, input);
}

TEST(ExecSession, stdin_that_the_process_closed_is_a_broken_pipe_and_the_session_goes_on) {
  auto process = FakeProcess::start("true", {.stdin_mode = StdinMode::pipe});
  process.relay.send(wire::ExecStarted{.pid = 1, .stdin_window = 0});
  process.relay.send(wire::ExecStdinError{.errnum = EPIPE, .message = "closed"});
  auto written = process.handle.write_stdin("x");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().errnum(), EPIPE);
  process.relay.exit(0);
  auto output = process.handle.collect();
  ASSERT_TRUE(output);
  EXPECT_TRUE(output->success());
}

TEST(ExecSession, writing_without_a_pipe_is_refused) {
  auto process = FakeProcess::start("true", {});
  auto written = process.handle.write_stdin("x");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind(), ErrorKind::invalid_config);
}

TEST(ExecSession, a_timeout_kills_and_keeps_the_output_so_far) {
  auto process = FakeProcess::start("sleep", {});
  process.relay.send(wire::ExecStarted{.pid = 1, .stdin_window = 0});
  process.relay.stdout_data("before");
  std::thread guest([&] {
    EXPECT_EQ(process.relay.expect<wire::ExecSignal>().signal, 9);
    process.relay.stderr_data("last words");
    process.relay.exit(137);
  });
  auto output = process.handle.collect(20ms);
  guest.join();
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().kind(), ErrorKind::exec_timeout);
  const auto* detail = output.error().detail_as<ExecTimeoutDetail>();
  ASSERT_NE(detail, nullptr);
  EXPECT_EQ(detail->captured.stdout_bytes, "before");
  EXPECT_EQ(detail->captured.stderr_bytes, "last words");
  EXPECT_EQ(detail->timeout, 20ms);
}

TEST(ExecSession, the_timeout_of_the_options_ends_recv_after_the_output) {
  auto process = FakeProcess::start("sleep", {.timeout = 20ms});
  process.relay.stdout_data("before");
  EXPECT_EQ(next_kind(process.handle), ExecEvent::Kind::stdout_data);
  std::thread guest([&] {
    process.relay.expect<wire::ExecSignal>();
    process.relay.exit(137);
  });
  auto event = process.handle.recv();
  guest.join();
  ASSERT_FALSE(event);
  EXPECT_EQ(event.error().kind(), ErrorKind::exec_timeout);
  EXPECT_TRUE(process.handle.finished());
}

TEST(ExecSession, command_not_found_names_the_command) {
  auto process = FakeProcess::start("pyton", {});
  process.relay.send(wire::ExecFailed{.kind = "not_found", .errnum = ENOENT, .message = "", .stage = "exec"},
                     wire::kFlagTerminal);
  auto output = process.handle.collect();
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().kind(), ErrorKind::exec_failed);
  EXPECT_THAT(output.error().message(), HasSubstr("pyton"));
  EXPECT_THAT(output.error().hints(), Not(IsEmpty()));
  const auto* detail = output.error().detail_as<ExecFailedDetail>();
  ASSERT_NE(detail, nullptr);
  EXPECT_EQ(detail->reason, "not_found");
  EXPECT_EQ(detail->errnum, ENOENT);
}

struct Failure {
  const char* kind;
  const char* expected;
};
class ExecFailures : public ::testing::TestWithParam<Failure> {};
TEST_P(ExecFailures, say_what_was_attempted) {
  wire::ExecRequest request;
  request.cmd = "prog";
  request.cwd = "/nowhere";
  request.user = "ghost";
  Error error = exec_failure(request, {.kind = GetParam().kind, .errnum = 1, .message = "m", .stage = "s"});
  EXPECT_THAT(error.message(), HasSubstr(GetParam().expected));
  EXPECT_EQ(error.detail_as<ExecFailedDetail>()->reason, GetParam().kind);
}
INSTANTIATE_TEST_SUITE_P(All, ExecFailures,
                         ::testing::Values(Failure{"permission_denied", "prog"}, Failure{"not_executable", "prog"},
                                           Failure{"bad_cwd", "/nowhere"}, Failure{"user_setup_failed", "ghost"},
                                           Failure{"bad_args", "prog"}, Failure{"resource_limit", "prog"},
                                           Failure{"out_of_memory", "prog"}, Failure{"other", "prog"}));

TEST(ExecSession, a_sandbox_that_stops_in_mid_stream_is_a_clear_error_after_the_output) {
  auto process = FakeProcess::start("job", {});
  process.relay.stdout_data("half");
  process.relay.close();
  EXPECT_EQ(next_kind(process.handle), ExecEvent::Kind::stdout_data);
  auto event = process.handle.recv();
  ASSERT_FALSE(event);
  EXPECT_EQ(event.error().kind(), ErrorKind::runtime);
  EXPECT_THAT(event.error().to_string(), ::testing::HasSubstr("sandbox 'box' stopped while "));
  EXPECT_THAT(event.error().message(), HasSubstr("job"));
  EXPECT_TRUE(process.handle.finished());
}

TEST(ExecSession, nonsense_from_the_guest_is_a_protocol_error) {
  auto process = FakeProcess::start("job", {});
  uint8_t absurd[4] = {0xff, 0xff, 0xff, 0xff};
  process.relay.send_raw(absurd);
  auto event = process.handle.recv();
  ASSERT_FALSE(event);
  EXPECT_EQ(event.error().kind(), ErrorKind::protocol);
}

TEST(ExecSession, try_recv_tells_nothing_yet_from_finished) {
  auto process = FakeProcess::start("job", {});
  auto nothing = process.handle.try_recv();
  ASSERT_TRUE(nothing);
  EXPECT_FALSE(*nothing);
  EXPECT_FALSE(process.handle.finished());
  EXPECT_FALSE(*wait_for(process.handle.poll_fd(), POLLIN, Clock::now()));
  process.relay.exit(0);
  EXPECT_TRUE(*wait_for(process.handle.poll_fd(), POLLIN, std::nullopt));
  EXPECT_EQ(next_kind(process.handle), ExecEvent::Kind::exited);
  EXPECT_TRUE(process.handle.finished());
  process.relay.close();
  EXPECT_FALSE(*wait_for(process.handle.poll_fd(), POLLIN, Clock::now()));
}

TEST(ExecSession, poll_fd_is_readable_while_events_are_queued) {
  auto process = FakeProcess::start("job", {.stdin_mode = StdinMode::pipe});
  int fd = process.handle.poll_fd();
  process.relay.send(wire::ExecStarted{.pid = 1, .stdin_window = 10});
  process.relay.stderr_data("x");
  // Waiting for the window has read the socket; the events are in the queue.
  ASSERT_TRUE(process.handle.write_stdin("x"));
  EXPECT_TRUE(*wait_for(fd, POLLIN, Clock::now()));
  EXPECT_EQ(next_kind(process.handle), ExecEvent::Kind::started);
  EXPECT_EQ(next_kind(process.handle), ExecEvent::Kind::stderr_data);
  EXPECT_FALSE(*wait_for(fd, POLLIN, Clock::now()));
}

TEST(ExecSession, poll_fd_wakes_for_the_timeout) {
  auto process = FakeProcess::start("job", {.timeout = 10ms});
  EXPECT_TRUE(*wait_for(process.handle.poll_fd(), POLLIN, std::nullopt));
  ASSERT_TRUE(process.handle.try_recv());
  EXPECT_EQ(process.relay.expect<wire::ExecSignal>().signal, 9);
}

TEST(ExecSession, signal_and_resize_reach_the_guest) {
  auto process = FakeProcess::start("vi", {.tty = true});
  ASSERT_TRUE(process.handle.signal(2));
  EXPECT_EQ(process.relay.expect<wire::ExecSignal>().signal, 2);
  ASSERT_TRUE(process.handle.resize(50, 100));
  EXPECT_EQ(process.relay.expect<wire::ExecResize>().cols, 100u);
  EXPECT_FALSE(process.handle.signal(65));
  EXPECT_FALSE(process.handle.resize(0, 10));
}

TEST(ExecSession, a_destroyed_handle_closes_its_connection) {
  auto process = FakeProcess::start("job", {});
  {
    ExecHandle dropped = std::move(process.handle);
  }
  EXPECT_EQ(process.relay.next_type(), "");
}

TEST(ExecRequest, refuses_what_no_process_can_have) {
  EXPECT_FALSE(make_exec_request("", {}));
  EXPECT_FALSE(make_exec_request(std::string("a\0b", 3), {}));
  EXPECT_FALSE(make_exec_request("a", {.env = {{"", "x"}}}));
  EXPECT_FALSE(make_exec_request("a", {.env = {{"A=B", "x"}}}));
  EXPECT_FALSE(make_exec_request("a", {.rlimits = {{"bogus", 1, 1}}}));
  EXPECT_FALSE(make_exec_request("a", {.rlimits = {{"nofile", 2, 1}}}));
}

TEST(AgentConnection, connects_through_a_path_longer_than_a_socket_address) {
  auto dir = TempDir::create();
  ASSERT_TRUE(dir);
  std::string folder = cat(dir->path(), "/", std::string(150, 'd'));
  ASSERT_TRUE(make_dirs(folder));
  // The listener binds by a short relative name, as the relay does through /proc/self/fd.
  Fd directory = *open_file(folder, O_PATH | O_DIRECTORY);
  Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/s.sock", directory.get());
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  std::thread relay([&] { FakeRelay(Fd(::accept(listener.get(), nullptr, nullptr))).greet(); });
  auto connection = AgentConnection::connect(folder + "/s.sock", std::nullopt);
  relay.join();
  ASSERT_TRUE(connection) << connection.error().to_string();
  EXPECT_EQ(connection->first_id(), testing::kFirstId);
  EXPECT_EQ(connection->ready().agent_version, "test");
}

TEST(AgentConnection, nobody_listening_is_not_running) {
  auto dir = TempDir::create();
  auto connection = AgentConnection::connect(dir->path() + "/none.sock", std::nullopt);
  ASSERT_FALSE(connection);
  EXPECT_EQ(connection.error().kind(), ErrorKind::sandbox_not_running);
}

TEST(AgentConnection, a_greeting_that_never_comes_ends_at_the_deadline) {
  auto pair = make_socket_pair();
  auto connection = AgentConnection::greet(std::move(pair->first), Clock::now());
  ASSERT_FALSE(connection);
  EXPECT_EQ(connection.error().kind(), ErrorKind::runtime);
}

}  // namespace
}  // namespace msb
