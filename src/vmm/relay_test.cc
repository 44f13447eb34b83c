#include "vmm/relay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <csignal>
#include <thread>

#include "base/temp_dir.h"
#include "state/log_reader.h"
#include "vmm/testing/peer.h"

namespace msb::vmm {
namespace {

using ::testing::HasSubstr;
using testing::Peer;
using testing::ReceivedFrame;

// The relay on a thread of its own; the test is its agent and its clients.
struct RelayTest : ::testing::Test {
  TempDir temp = *TempDir::create();
  state::Home home = *state::Home::at(temp.path() + "/home");
  std::string log_path = temp.path() + "/exec.log";
  std::unique_ptr<Reactor> reactor = *Reactor::create();
  ExecLog log = ExecLog(*state::LogWriter::open(log_path));
  Fd relay_side;
  Peer agent;
  std::unique_ptr<AgentChannel> channel;
  std::unique_ptr<Relay> relay;
  std::optional<Error> lost;
  std::optional<uint32_t> shutdown_grace;
  int activity = 0;
  int measurements = 0;
  std::optional<wire::MachineMeasured> measured;  // the answer, given at once
  Fd stop_event{::eventfd(0, EFD_CLOEXEC)};
  Reactor::Watch stop_watch;
  std::thread thread;

  void start(RelayLimits limits = {}) {
    ::signal(SIGPIPE, SIG_IGN);  // as the real process does
    auto pair = *make_socket_pair();
    relay_side = std::move(pair.first);
    agent = Peer(std::move(pair.second));
    ASSERT_TRUE(set_blocking(relay_side.get(), Blocking::no));
    channel = *AgentChannel::create(*reactor, relay_side.get(),
                                    {.on_frame = [this](ByteView raw) { relay->from_agent(raw); },
                                     .on_lost =
                                         [this](const Error& error) {
                                           lost = error;
                                           reactor->stop();
                                         },
                                     .on_drained = [this] { relay->on_agent_drained(); }});
    relay = std::make_unique<Relay>(
        *reactor, *channel, log,
        Relay::Observer{.on_shutdown_request = [this](uint32_t grace) { shutdown_grace = grace; },
                        .on_activity = [this] { ++activity; },
                        .on_measure =
                            [this] {
                              ++measurements;
                              if (measured) relay->measured(*measured);
                            }},
        limits);
    relay->set_ready(wire::make_frame(0, 0, wire::Ready{.agent_version = "test"}));
    auto listening = relay->listen(home, "s");
    ASSERT_TRUE(listening) << listening.error().to_string();
    stop_watch = *reactor->watch(stop_event.get(), EPOLLIN, [this](uint32_t) { reactor->stop(); });
    thread = std::thread([this] { EXPECT_TRUE(reactor->run()); });
  }
  // Afterwards the relay may be looked at.
  void stop() {
    uint64_t one = 1;
    EXPECT_TRUE(write_full(stop_event.get(), {reinterpret_cast<uint8_t*>(&one), 8}));
    join();
  }
  void join() {
    if (thread.joinable()) thread.join();
  }
  void TearDown() override {
    if (thread.joinable()) stop();
  }
  Peer connect() {
    Peer client = Peer::connect(home.relay_socket("s"));
    auto ready = client.receive();
    EXPECT_TRUE(ready && ready->type == "core.ready");
    return client;
  }
  // Starts a session and sees it arrive at the agent.
  uint32_t begin_session(Peer& client, uint32_t offset = 0) {
    uint32_t id = client.first() + offset;
    wire::ExecRequest request;
    request.cmd = "true";
    client.send(id, request, wire::kFlagSessionStart);
    auto arrived = agent.receive();
    EXPECT_TRUE(arrived && arrived->type == "core.exec.request" && arrived->id == id);
    return id;
  }
  std::vector<LogEntry> logged() {
    std::vector<LogEntry> entries;
    LogQuery query;
    query.system = true;
    EXPECT_TRUE(state::read_log(log_path, query, [&](const LogEntry& entry) {
      entries.push_back(entry);
      return true;
    }));
    return entries;
  }
};

TEST_F(RelayTest, ClientsGetReadyAndRangesOfTheirOwn) {
  start();
  Peer one = connect();
  Peer two = connect();
  EXPECT_GT(one.first(), 0U);
  EXPECT_GT(one.end(), one.first());
  EXPECT_TRUE(one.end() <= two.first() || two.end() <= one.first());
}

TEST_F(RelayTest, FramesGoToTheClientThatHasTheId) {
  start();
  Peer one = connect();
  Peer two = connect();
  uint32_t first = begin_session(one);
  uint32_t second = begin_session(two);
  agent.send(second, wire::ExecStarted{.pid = 2});
  agent.send(first, wire::ExecStarted{.pid = 1});
  EXPECT_EQ(one.receive()->as<wire::ExecStarted>().pid, 1U);
  EXPECT_EQ(two.receive()->as<wire::ExecStarted>().pid, 2U);
}

TEST_F(RelayTest, HundredClientsAtOnce) {
  start();
  std::vector<Peer> clients;
  for (int i = 0; i < 100; ++i) clients.push_back(connect());
  for (auto& client : clients) client.send(client.first(), wire::Ping{});
  for (int i = 0; i < 100; ++i) agent.send(agent.receive()->id, wire::Pong{}, wire::kFlagTerminal);
  for (auto& client : clients) EXPECT_EQ(client.receive()->id, client.first());
}

TEST_F(RelayTest, IdOutsideTheRangeIsRefusedAndEndsTheClient) {
  start();
  Peer good = connect();
  Peer bad = connect();
  bad.send(good.first(), wire::ExecSignal{9});
  auto answer = bad.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->as<wire::ProtocolError>().kind, "invalid_session");
  EXPECT_FALSE(bad.receive());
  auto seen = agent.receive();
  ASSERT_EQ(seen->type, "core.relay.client.disconnected");
  EXPECT_EQ(seen->as<wire::ClientDisconnected>().id_start, bad.first());
}

TEST_F(RelayTest, OperationsOnFilesAreSessionsWithoutALog) {
  start();
  Peer client = connect();
  client.send(client.first(), wire::FileRequest{}, wire::kFlagSessionStart);
  auto request = agent.receive();
  ASSERT_TRUE(request);
  EXPECT_EQ(request->type, "core.fs.request");
  agent.send(client.first(), wire::FileResult{}, wire::kFlagTerminal);
  auto result = client.receive();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->type, "core.fs.result");
  stop();
  EXPECT_EQ(relay->sessions(), 0u);
  EXPECT_EQ(activity, 2);
}

TEST_F(RelayTest, ReservedAndMalformedMessagesAreRefusedAndTheClientLivesOn) {
  start();
  Peer client = connect();
  client.send(client.first(), wire::ClientDisconnected{1, UINT32_MAX});
  EXPECT_EQ(client.receive()->as<wire::ProtocolError>().kind, "unsupported_message_type");
  client.send(client.first(), wire::Bootstrap{});
  EXPECT_EQ(client.receive()->as<wire::ProtocolError>().offending_type, "core.bootstrap");
  client.send_raw(wire::make_raw_frame(client.first(), 0, as_bytes("nonsense")));
  EXPECT_EQ(client.receive()->as<wire::ProtocolError>().kind, "malformed_message");
  client.send(client.first(), wire::Ping{});
  EXPECT_EQ(agent.receive()->type, "core.ping");
}

TEST_F(RelayTest, MeasuringIsAnsweredWithoutTheGuestAndIsNoActivity) {
  measured = {.cpu_time_ns = 7};
  start();
  Peer client = connect();
  client.send(client.first() + 3, wire::MeasureMachine{});
  auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->type, "core.machine.measured");
  EXPECT_EQ(answer->id, client.first() + 3);
  EXPECT_TRUE(answer->flags & wire::kFlagTerminal);
  EXPECT_EQ(answer->as<wire::MachineMeasured>().cpu_time_ns, 7u);
  client.send(client.first(), wire::Ping{});
  EXPECT_EQ(agent.receive()->type, "core.ping");
  stop();
  EXPECT_EQ(measurements, 1);
  EXPECT_EQ(activity, 0);
}

TEST_F(RelayTest, OneAnswerIsForAllWhoHaveAskedAndEachAsksOnce) {
  start();
  Peer one = connect();
  Peer two = connect();
  one.send(one.first(), wire::MeasureMachine{});
  one.send(one.first() + 1, wire::MeasureMachine{});
  auto refusal = one.receive();
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->as<wire::ProtocolError>().kind, "invalid_payload");
  two.send(two.first(), wire::MeasureMachine{});
  two.send(two.first(), wire::Ping{});
  EXPECT_EQ(agent.receive()->type, "core.ping");
  stop();
  relay->measured({.cpu_time_ns = 7});
  EXPECT_EQ(one.receive()->as<wire::MachineMeasured>().cpu_time_ns, 7u);
  EXPECT_EQ(two.receive()->as<wire::MachineMeasured>().cpu_time_ns, 7u);
}

TEST_F(RelayTest, TheGuestDoesNotSpeakForTheMachine) {
  start();
  Peer client = connect();
  agent.send(client.first(), wire::MachineMeasured{.cpu_time_ns = 666}, wire::kFlagTerminal);
  agent.send(client.first(), wire::GuestMeasured{.memory_total = 1});
  auto heard = client.receive();
  ASSERT_TRUE(heard);
  EXPECT_EQ(heard->type, "core.guest.measured");
  client.send(client.first(), wire::MachineMeasured{});
  EXPECT_EQ(client.receive()->as<wire::ProtocolError>().kind, "unsupported_message_type");
}

TEST_F(RelayTest, DeclaredLengthOutOfBoundsEndsTheClient) {
  start();
  Peer client = connect();
  client.send_raw(as_bytes("\xff\xff\xff\xff"));
  EXPECT_FALSE(client.receive());
  EXPECT_EQ(agent.receive()->type, "core.relay.client.disconnected");
}

TEST_F(RelayTest, DeclaredLengthOutOfBoundsFromTheGuestLosesTheChannel) {
  start();
  agent.send_raw(as_bytes("\xff\xff\xff\xff"));
  join();
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->kind(), ErrorKind::protocol);
}

TEST_F(RelayTest, FramesOfTheGuestForNobodyAreDropped) {
  start();
  Peer client = connect();
  uint32_t id = begin_session(client);
  for (uint32_t foreign : {0U, client.end(), UINT32_MAX, UINT32_MAX - 1}) {
    agent.send(foreign, wire::ExecStdout{as_bytes("x")}, wire::kFlagTerminal);
    agent.send_raw(wire::make_raw_frame(foreign, 0xff, as_bytes("nonsense")));
  }
  agent.send(id, wire::ExecStarted{.pid = 7});
  EXPECT_EQ(client.receive()->as<wire::ExecStarted>().pid, 7U);
}

TEST_F(RelayTest, StalledClientHoldsUpNobodyAndIsCutOffAtItsCap) {
  RelayLimits limits;
  limits.client_queue = size_t{1} << 20;
  start(limits);
  Peer stalled = connect();
  Peer lively = connect();
  uint32_t flood = begin_session(stalled);
  uint32_t quiet = begin_session(lively);
  std::string chunk(64 * 1024, 'x');
  for (int i = 0; i < 100; ++i) agent.send(flood, wire::ExecStdout{as_bytes(chunk)});
  agent.send(quiet, wire::ExecStarted{.pid = 5});
  EXPECT_EQ(lively.receive()->as<wire::ExecStarted>().pid, 5U);
  EXPECT_EQ(agent.receive()->type, "core.relay.client.disconnected");
  stop();
  EXPECT_EQ(relay->clients(), 1U);
  EXPECT_EQ(relay->sessions(), 1U);
  EXPECT_THAT(logged().back().data, HasSubstr("cut off"));
}

TEST_F(RelayTest, GuestThatTakesNothingStopsClientsAndLosesNothing) {
  start();
  Peer client = connect();
  uint32_t id = begin_session(client);
  std::string chunk(64 * 1024, 'y');
  Bytes frame = wire::make_frame(id, 0, wire::ExecStdin{as_bytes(chunk)});
  size_t total = 0;
  constexpr size_t kMany = size_t{64} << 20;
  std::thread writer([&] {
    while (total < kMany) {
      if (!client.send_raw(frame)) break;
      total += chunk.size();
    }
  });
  size_t received = 0;
  while (received < kMany) {
    auto next = agent.receive();
    ASSERT_TRUE(next);
    ASSERT_EQ(next->as<wire::ExecStdin>().data.size(), chunk.size());
    received += chunk.size();
  }
  writer.join();
  EXPECT_EQ(received, total);
}

TEST_F(RelayTest, MemoryForAGuestThatTakesNothingIsBounded) {
  start();
  Peer client = connect();
  uint32_t id = begin_session(client);
  std::string chunk(64 * 1024, 'z');
  Bytes frame = wire::make_frame(id, 0, wire::ExecStdin{as_bytes(chunk)});
  // The socket's own timeout says that the relay reads no more.
  timeval patience{.tv_sec = 0, .tv_usec = 300'000};
  ::setsockopt(client.fd(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  size_t total = 0;
  while (total < (size_t{64} << 20) && client.send_raw(frame)) total += chunk.size();
  EXPECT_LT(total, size_t{8} << 20);
}

TEST_F(RelayTest, SessionsOfAClientThatLeavesEnd) {
  start();
  Peer client = connect();
  begin_session(client);
  uint32_t first = client.first();
  client.close();
  auto told = agent.receive();
  ASSERT_EQ(told->type, "core.relay.client.disconnected");
  EXPECT_EQ(told->as<wire::ClientDisconnected>().id_start, first);
  stop();
  EXPECT_EQ(relay->sessions(), 0U);
}

TEST_F(RelayTest, DetachedSessionOutlivesItsClientAndKeepsItsIds) {
  RelayLimits limits;
  limits.clients = 2;
  start(limits);
  Peer client = connect();
  uint32_t id = begin_session(client);
  uint32_t first = client.first();
  client.send(id, wire::ExecDetach{});
  EXPECT_EQ(agent.receive()->type, "core.exec.detach");
  client.close();
  EXPECT_EQ(agent.receive()->type, "core.relay.client.disconnected");
  for (int i = 0; i < 3; ++i) {
    Peer other = connect();
    EXPECT_NE(other.first(), first);
    other.close();
    EXPECT_EQ(agent.receive()->type, "core.relay.client.disconnected");
  }
  agent.send(id, wire::ExecExited{0}, wire::kFlagTerminal);
  // The same stream carries the exit and this answer: once the answer is there, the exit was handled.
  Peer last = connect();
  last.send(last.first(), wire::Ping{});
  agent.send(agent.receive()->id, wire::Pong{}, wire::kFlagTerminal);
  EXPECT_EQ(last.receive()->type, "core.pong");
  stop();
  EXPECT_EQ(relay->sessions(), 0U);
}

TEST_F(RelayTest, OneClientTooManyIsTurnedAway) {
  RelayLimits limits;
  limits.clients = 2;
  start(limits);
  Peer one = connect();
  Peer two = connect();
  EXPECT_LT(Peer::connect(home.relay_socket("s")).fd(), 0);
  one.close();
  EXPECT_EQ(agent.receive()->type, "core.relay.client.disconnected");
  Peer three = connect();
  EXPECT_GE(three.fd(), 0);
}

TEST_F(RelayTest, ShutdownRequestGoesToTheProcessAndNotToTheAgent) {
  start();
  Peer client = connect();
  client.send(client.first(), wire::Shutdown{.grace_ms = 77}, wire::kFlagShutdown);
  client.send(client.first(), wire::Ping{});
  EXPECT_EQ(agent.receive()->type, "core.ping");
  stop();
  EXPECT_EQ(shutdown_grace, 77U);
}

TEST_F(RelayTest, OutputIsLoggedBySessionWithCharactersWhole) {
  start();
  Peer client = connect();
  uint32_t one = begin_session(client, 0);
  uint32_t two = begin_session(client, 1);
  agent.send(one, wire::ExecStdout{as_bytes("h\xc3")});
  agent.send(two, wire::ExecStderr{as_bytes("oops")});
  agent.send(one, wire::ExecStdout{as_bytes("\xa9")});
  agent.send(one, wire::ExecStdout{as_bytes("\xff")});
  agent.send(one, wire::ExecExited{0}, wire::kFlagTerminal);
  while (client.receive()->type != "core.exec.exited") {
  }
  stop();
  auto entries = logged();
  ASSERT_EQ(entries.size(), 4U);
  EXPECT_EQ(entries[0].data, "h");
  EXPECT_EQ(entries[0].session_id, 1U);
  EXPECT_EQ(entries[1].data, "oops");
  EXPECT_EQ(entries[1].source, LogSource::stderr_stream);
  EXPECT_EQ(entries[1].session_id, 2U);
  EXPECT_EQ(entries[2].data, "\xc3\xa9");
  EXPECT_EQ(entries[3].data, "\xff");
}

TEST(LogBudget, RefusesBeyondTheBurstAndCountsWhatIsMissing) {
  LogBudget budget;
  auto now = LogBudget::Clock::now() + std::chrono::hours(1);
  EXPECT_TRUE(budget.take(LogBudget::kBurst, now));
  EXPECT_FALSE(budget.take(10, now));
  EXPECT_TRUE(budget.take(10, now + std::chrono::seconds(1)));
  EXPECT_EQ(budget.take_refused(), 10U);
  EXPECT_EQ(budget.take_refused(), 0U);
}

}  // namespace
}  // namespace msb::vmm
