#include "qemu/qmp.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace msb::qemu {
namespace {

TEST(ParseQmpTest, UnderstandsWhatQemuSays) {
  auto greeting = parse_qmp(
      R"({"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "x"}, "capabilities": ["oob"]}})");
  ASSERT_TRUE(greeting);
  EXPECT_EQ(std::get<QmpGreeting>(*greeting).major, 7);
  EXPECT_EQ(std::get<QmpGreeting>(*greeting).micro, 22);
  auto event = parse_qmp(
      R"({"timestamp": {"seconds": 1, "microseconds": 2}, "event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}})");
  ASSERT_TRUE(event);
  EXPECT_EQ(std::get<QmpEvent>(*event).name, "SHUTDOWN");
  EXPECT_EQ(std::get<QmpEvent>(*event).reason(), "guest-reset");
  auto answer = parse_qmp(R"({"return": {"status": "running"}})");
  ASSERT_TRUE(answer);
  EXPECT_EQ(std::get<QmpReturn>(*answer).value.at("status"), "running");
  auto failure = parse_qmp(R"({"error": {"class": "CommandNotFound", "desc": "no such command"}})");
  ASSERT_TRUE(failure);
  EXPECT_EQ(std::get<QmpFailure>(*failure).description, "no such command");
}

TEST(ParseQmpTest, SurvivesMembersOfTheWrongType) {
  auto event = parse_qmp(R"({"event": 5, "data": [1]})");
  ASSERT_TRUE(event);
  EXPECT_EQ(std::get<QmpEvent>(*event).name, "");
  EXPECT_EQ(std::get<QmpEvent>(*event).reason(), "");
  auto greeting = parse_qmp(R"({"QMP": {"version": {"qemu": {"major": "seven"}}}})");
  ASSERT_TRUE(greeting);
  EXPECT_EQ(std::get<QmpGreeting>(*greeting).major, 0);
}

TEST(ParseQmpTest, RefusesWhatIsNotAMessage) {
  for (const char* line : {"", "hello", "[]", "{}", "{\"unknown\": 1}", "{\"event\": \"X\"", "5", "null"}) {
    auto message = parse_qmp(line);
    ASSERT_FALSE(message) << line;
    EXPECT_EQ(message.error().kind(), ErrorKind::protocol);
  }
}

TEST(QmpSplitterTest, CutsLinesWhereverTheyArrive) {
  QmpSplitter splitter;
  std::vector<std::string> lines;
  auto keep = [&](std::string_view line) -> Result<> {
    lines.emplace_back(line);
    return {};
  };
  for (const char* piece : {"{\"a\"", ":1}\r\n{\"b\":2}\n\r\n\n", "{}", "\r\n"})
    ASSERT_TRUE(splitter.feed(piece, keep));
  EXPECT_EQ(lines, (std::vector<std::string>{"{\"a\":1}", "{\"b\":2}", "{}"}));
}

TEST(QmpSplitterTest, RefusesAnEndlessLine) {
  QmpSplitter splitter;
  auto ignore = [](std::string_view) -> Result<> { return {}; };
  std::string half(kMaxQmpLine / 2 + 1, 'x');
  EXPECT_TRUE(splitter.feed(half, ignore));
  auto result = splitter.feed(half, ignore);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::protocol);
}

// A client with the test as its QEMU.
class QmpClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    reactor_ = std::move(*Reactor::create());
    auto pair = make_socket_pair();
    ASSERT_TRUE(pair);
    qemu_ = std::move(pair->second);
    auto client = QmpClient::create(*reactor_, std::move(pair->first), [this](const QmpEvent& event) {
      events_.push_back(event.name);
      if (destroy_on_event_) client_.reset();
    });
    ASSERT_TRUE(client);
    client_ = std::move(*client);
  }

  void say(std::string_view text) { ASSERT_TRUE(write_full(qemu_.get(), as_bytes(text))); }
  void turn() { ASSERT_TRUE(reactor_->run_once()); }
  std::string heard() {
    char buffer[4096];
    ssize_t count = ::recv(qemu_.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
    return std::string(buffer, count > 0 ? static_cast<size_t>(count) : 0);
  }

  std::unique_ptr<Reactor> reactor_;
  Fd qemu_;
  std::unique_ptr<QmpClient> client_;
  std::vector<std::string> events_;
  bool destroy_on_event_ = false;
};

TEST_F(QmpClientTest, NegotiatesThenPairsAnswersWithCommandsInOrder) {
  std::string status, error;
  client_->execute("query-status", [&](Result<nlohmann::json> answer) { status = answer->value("status", ""); });
  client_->execute("nonsense", [&](Result<nlohmann::json> answer) { error = answer.error().message(); });
  EXPECT_EQ(heard(),
            "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"query-status\"}\n{\"execute\":\"nonsense\"}\n");
  say("{\"QMP\": {}}\r\n{\"return\": {}}\r\n{\"event\": \"RESUME\"}\r\n{\"return\": {\"status\": \"running\"}}\r\n"
      "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"what?\"}}\r\n");
  turn();
  EXPECT_EQ(status, "running");
  EXPECT_EQ(error, "QEMU refused: what?");
  EXPECT_EQ(events_, std::vector<std::string>{"RESUME"});
}

TEST_F(QmpClientTest, OpenCommandsFailWhenQemuEnds) {
  std::string error;
  client_->execute("query-status", [&](Result<nlohmann::json> answer) { error = answer.error().message(); });
  qemu_.reset();
  turn();
  EXPECT_NE(error, "");
  EXPECT_FALSE(client_->is_open());
  std::string later;
  client_->execute("quit", [&](Result<nlohmann::json> answer) { later = answer.error().message(); });
  EXPECT_NE(later, "");
}

TEST_F(QmpClientTest, GarbageClosesTheConnectionOnly) {
  say("not json\n");
  turn();
  EXPECT_FALSE(client_->is_open());
}

TEST_F(QmpClientTest, AnAnswerNobodyAskedForClosesTheConnection) {
  say("{\"return\": {}}\n{\"return\": {}}\n");
  turn();
  EXPECT_FALSE(client_->is_open());
}

TEST_F(QmpClientTest, MayBeDestroyedByItsOwnEvent) {
  destroy_on_event_ = true;
  say("{\"event\": \"SHUTDOWN\"}\n{\"event\": \"STOP\"}\n");
  turn();
  EXPECT_EQ(events_, std::vector<std::string>{"SHUTDOWN"});
}

TEST_F(QmpClientTest, DoesNotCollectCommandsWithoutEnd) {
  size_t refused = 0;
  for (size_t i = 0; i < 2 * kMaxQmpPending; ++i)
    client_->execute("query-status", [&](Result<nlohmann::json> answer) { refused += answer ? 0 : 1; });
  EXPECT_EQ(refused, kMaxQmpPending + 1);  // one place is taken by the negotiation
}

}  // namespace
}  // namespace msb::qemu
