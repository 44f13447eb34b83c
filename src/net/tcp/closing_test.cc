#include <gtest/gtest.h>

#include "net/tcp/testing/tcp_script.h"

namespace msb::net {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::put;
using testing::TcpScript;

// The window of an open connection, 1 MiB in units of 32.
constexpr char kWindow[] = " win 32768";

TEST(TcpClosing, TheGuestFirst) {
  TcpScript script;
  TcpConnection* connection = script.establish();
  script.guest(kAck | kFin, 1, 1, {.payload = "bye"});
  EXPECT_EQ(script.told(), "received bye, end");
  EXPECT_EQ(script.sent(), cat("A 1:1 ack 5", kWindow));
  put(*connection, "more");
  connection->finish();
  EXPECT_EQ(script.sent(), cat("PA 1:5 ack 5", kWindow, "\nFPA 5:6 ack 5", kWindow));
  script.guest(kAck, 5, 6);
  EXPECT_EQ(script.told(), "ended closed");
  EXPECT_EQ(script.sent(), "");
  script.guest(kAck, 5, 6);
  EXPECT_EQ(script.sent(), "R 6:6");
}

TEST(TcpClosing, WeFirst) {
  TcpScript script;
  TcpConnection* connection = script.establish();
  connection->finish();
  EXPECT_EQ(script.sent(), cat("FPA 1:2 ack 1", kWindow));
  script.guest(kAck, 1, 2, {.payload = "still here"});
  EXPECT_EQ(script.told(), "received still here");
  script.guest(kAck | kFin, 11, 2);
  EXPECT_EQ(script.told(), "end, ended closed");
  script.sent();
  // The last acknowledgement may be repeated for a while.
  script.guest(kAck | kFin, 11, 2);
  EXPECT_EQ(script.sent(), "A 2:2 ack 12 win 0");
  script.pass(seconds(2));
  script.guest(kAck | kFin, 11, 2);
  EXPECT_EQ(script.sent(), "R 2:2");
}

TEST(TcpClosing, BothAtOnce) {
  TcpScript script;
  TcpConnection* connection = script.establish();
  connection->finish();
  script.guest(kAck | kFin, 1, 1);
  EXPECT_EQ(script.told(), "end");
  script.sent();
  script.guest(kAck, 2, 2);
  EXPECT_EQ(script.told(), "ended closed");
  EXPECT_EQ(script.sent(), "");
  script.guest(kAck | kFin, 1, 2);
  EXPECT_EQ(script.sent(), "A 2:2 ack 2 win 0");
}

TEST(TcpClosing, ANewSynEndsTheWait) {
  TcpScript script;
  script.establish()->finish();
  script.guest(kAck | kFin, 1, 2);
  script.guest(kSyn, 5000, 0);
  EXPECT_EQ(script.requests().size(), 1u);
}

TEST(TcpClosing, AFinWaitsForWhatTheUserHasNotTaken) {
  TcpScript script;
  TcpConnection* connection = script.establish();
  script.user().appetite = 0;
  script.guest(kAck | kFin, 1, 1, {.payload = "abc"});
  connection->finish();
  script.guest(kAck, 5, 2);
  EXPECT_EQ(script.told(), "received abc took 0");
  script.user().appetite = SIZE_MAX;
  connection->resume();
  EXPECT_EQ(script.told(), "received abc, end, ended closed");
}

TEST(TcpClosing, AFinThatIsLostIsRepeated) {
  TcpScript script;
  script.establish()->finish();
  script.sent();
  script.pass(milliseconds(200));
  EXPECT_EQ(script.sent(), cat("FPA 1:2 ack 1", kWindow));
}

TEST(TcpResets, OnlyTheVeryNextNumberIsBelieved) {
  TcpScript script;
  script.establish();
  script.guest(kRst, 100, 0);
  EXPECT_EQ(script.sent(), cat("A 1:1 ack 1", kWindow));
  script.guest(kRst, 0, 0);
  script.guest(kRst, 2'000'000, 0);
  EXPECT_EQ(script.sent(), "");
  EXPECT_EQ(script.told(), "");
  script.guest(kRst, 1, 0);
  EXPECT_EQ(script.told(), "ended reset");
}

TEST(TcpResets, ASynInAConnectionIsChallenged) {
  TcpScript script;
  script.establish();
  script.guest(kSyn, 0, 0);
  EXPECT_EQ(script.sent(), cat("A 1:1 ack 1", kWindow));
  script.guest(kSyn, 100, 0);
  EXPECT_EQ(script.sent(), cat("A 1:1 ack 1", kWindow));
  EXPECT_EQ(script.told(), "");
}

TEST(TcpResets, AnAcknowledgementOfWhatWasNeverSentIsChallenged) {
  TcpScript script;
  script.establish();
  script.guest(kAck, 1, 50, {.payload = "forged"});
  script.guest(kAck, 1, static_cast<uint32_t>(-100'000), {.payload = "forged"});
  EXPECT_EQ(script.sent(), cat("A 1:1 ack 1", kWindow, "\nA 1:1 ack 1", kWindow));
  EXPECT_EQ(script.told(), "");
}

TEST(TcpIdle, AGuestIsAskedAndGivenUp) {
  TcpScript script;
  script.establish();
  script.pass(hours(2) - seconds(1));
  EXPECT_EQ(script.sent(), "");
  script.pass(seconds(1));
  EXPECT_EQ(script.sent(), cat("A 0:0 ack 1", kWindow));
  script.guest(kAck, 1, 1);
  script.pass(hours(2));
  script.sent();
  for (int i = 0; i < 9; ++i) script.pass(seconds(75));
  EXPECT_EQ(script.told(), "ended timed out");
}

TEST(TcpEngineEnd, UsersAreToldAndRequestsComeToNothing) {
  TcpScript script;
  script.establish();
  script.guest(kSyn, 0, 0, {.port = 2});
  TcpRequest request = std::move(script.requests().front());
  script.requests().clear();
  script.end_engine();
  EXPECT_EQ(script.told(), "ended stopped");
  std::vector<std::string> events;
  EXPECT_EQ(request.accept(std::make_unique<testing::RecordingUser>(events)), nullptr);
  EXPECT_EQ(events, std::vector<std::string>{"ended stopped"});
}

}  // namespace
}  // namespace msb::net
