#include <gtest/gtest.h>

#include "net/tcp/testing/tcp_script.h"

namespace msb::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::put;
using testing::TcpScript;

// The window of an open connection, 1 MiB in units of 32.
constexpr char kWindow[] = " win 32768";

TEST(TcpReceiving, ABatchIsAcknowledgedOnce) {
  TcpScript script;
  script.establish();
  script.without_settling(kAck, 1, 1, {.payload = "ab"});
  script.without_settling(kAck, 3, 1, {.payload = "cd"});
  script.without_settling(kAck, 5, 1, {.payload = "ef"});
  EXPECT_EQ(script.sent(), "");
  script.settle();
  EXPECT_EQ(script.told(), "received ab, received cd, received ef");
  EXPECT_EQ(script.sent(), cat("A 1:1 ack 7", kWindow));
}

TEST(TcpReceiving, WhatComesTooEarlyIsAskedForAgain) {
  TcpScript script;
  script.establish();
  script.guest(kAck, 3, 1, {.payload = "cd"});
  EXPECT_EQ(script.told(), "");
  EXPECT_EQ(script.sent(), cat("A 1:1 ack 1", kWindow));
}

TEST(TcpReceiving, WhatIsKnownIsTrimmed) {
  TcpScript script;
  script.establish();
  script.guest(kAck, 1, 1, {.payload = "abc"});
  script.guest(kAck, 1, 1, {.payload = "abc"});
  script.guest(kAck, 2, 1, {.payload = "bcde"});
  EXPECT_EQ(script.told(), "received abc, received de");
  EXPECT_EQ(script.sent(), cat("A 1:1 ack 4", kWindow, "\nA 1:1 ack 4", kWindow, "\nA 1:1 ack 6 win 32767"));
}

TEST(TcpReceiving, WhatTheUserDoesNotTakeClosesTheWindow) {
  TcpScript script({.receive_buffer = 4000});
  TcpConnection* connection = script.establish();
  script.user().appetite = 0;
  script.guest(kAck, 1, 1, {.payload = std::string(3000, 'a')});
  EXPECT_EQ(script.sent(), "A 1:1 ack 3001 win 1000");
  // Beyond the window nothing is taken.
  script.guest(kAck, 3001, 1, {.payload = std::string(1001, 'b')});
  EXPECT_EQ(script.sent(), "A 1:1 ack 4001 win 0");
  script.guest(kAck, 4001, 1, {.payload = "c"});
  EXPECT_EQ(script.sent(), "A 1:1 ack 4001 win 0");
  EXPECT_EQ(script.told(), "received 3000 took 0");
  script.user().appetite = SIZE_MAX;
  connection->resume();
  EXPECT_EQ(script.told(), "received 4000");
  EXPECT_EQ(script.sent(), "A 1:1 ack 4001 win 4000");
}

TEST(TcpReceiving, ALittleRoomIsNotTold) {
  TcpScript script({.receive_buffer = 40000});
  TcpConnection* connection = script.establish();
  script.user().appetite = 0;
  script.guest(kAck, 1, 1, {.payload = std::string(10000, 'a')});
  EXPECT_EQ(script.sent(), "A 1:1 ack 10001 win 30000");
  script.user().appetite = 1000;
  connection->resume();
  EXPECT_EQ(script.sent(), "");
  script.user().appetite = SIZE_MAX;
  connection->resume();
  EXPECT_EQ(script.sent(), "A 1:1 ack 10001 win 40000");
}

TEST(TcpReceiving, TheMoreConnectionsTheLessEachMayHave) {
  TcpScript script;
  for (uint16_t port = 1; port <= 256; ++port) {
    script.guest(kSyn, 0, 0, {.port = port});
    script.accept();
    script.guest(kAck, 1, 1, {.port = port});
  }
  script.sent();
  script.guest(kAck, 1, 1, {.payload = "x", .port = 256});
  EXPECT_EQ(script.sent(), "A 1:1 ack 2 win 8192 to 256");
}

TEST(TcpReceiving, SeveralFramesAreOneDeliveryForWhoTakesPieces) {
  TcpScript script;
  script.establish();
  script.user().takes_pieces = true;
  script.without_settling(kAck, 1, 1, {.payload = "ab"});
  script.without_settling(kAck | kFin, 3, 1, {.payload = "cd"});
  script.settle();
  EXPECT_EQ(script.told(), "received abcd, end");
}

TEST(TcpReceiving, AResetComesAfterWhatWasSentBefore) {
  TcpScript script;
  script.establish();
  script.without_settling(kAck, 1, 1, {.payload = "ab"});
  script.without_settling(kRst, 3, 0);
  script.settle();
  EXPECT_EQ(script.told(), "received ab, ended reset");
}

TEST(TcpReceiving, AUserMayTakeItsTimeInside) {
  TcpScript script;
  TcpConnection* connection = script.establish();
  script.user().appetite = 2;
  script.user().in_received = [&](ByteView) { connection->resume(); };
  script.guest(kAck | kFin, 1, 1, {.payload = "abcde"});
  EXPECT_EQ(script.told(), "received abcde took 2, received cde took 2, received e, end");
}

TEST(TcpReceiving, AUserMayResetInside) {
  TcpScript script;
  TcpConnection* connection = script.establish();
  script.user().in_received = [&](ByteView) { connection->reset(); };
  script.guest(kAck | kFin, 1, 1, {.payload = "abc"});
  EXPECT_EQ(script.told(), "received abc");
  EXPECT_EQ(script.sent(), "RA 1:1 ack 5");
  EXPECT_EQ(script.engine().connections(), 0u);
}

TEST(TcpSending, TheWindowIsKept) {
  TcpScript script;
  TcpConnection* connection = script.establish(1280);
  EXPECT_EQ(put(*connection, std::string(3000, 'x')), "");
  EXPECT_EQ(script.sent(), cat("A 1:1281 ack 1", kWindow));
  script.guest(kAck, 1, 1281, {.window = 10});
  EXPECT_EQ(script.sent(), cat("A 1281:2561 ack 1", kWindow));
  script.guest(kAck, 1, 2561, {.window = 10});
  EXPECT_EQ(script.sent(), cat("PA 2561:3001 ack 1", kWindow));
  EXPECT_EQ(script.told(), "");
  script.guest(kAck, 1, 3001, {.window = 10});
  EXPECT_EQ(script.told(), "writable");
  EXPECT_EQ(connection->unacknowledged(), 0u);
}

TEST(TcpSending, AClosedWindowIsAskedAfter) {
  TcpScript script;
  TcpConnection* connection = script.establish(1280);
  put(*connection, std::string(2000, 'x'));
  script.sent();
  script.guest(kAck, 1, 1281, {.window = 0});
  EXPECT_EQ(script.sent(), "");
  script.pass(milliseconds(200));
  EXPECT_EQ(script.sent(), cat("A 1280:1280 ack 1", kWindow));
  script.guest(kAck, 1, 1281, {.window = 0});
  script.pass(milliseconds(399));
  EXPECT_EQ(script.sent(), "");
  script.pass(milliseconds(1));
  EXPECT_EQ(script.sent(), cat("A 1280:1280 ack 1", kWindow));
  script.guest(kAck, 1, 1281, {.window = 100});
  EXPECT_EQ(script.sent(), cat("PA 1281:2001 ack 1", kWindow));
}

TEST(TcpSending, AGuestThatAnswersProbesIsNeverGivenUp) {
  TcpScript script;
  TcpConnection* connection = script.establish(1280);
  put(*connection, std::string(2000, 'x'));
  script.guest(kAck, 1, 1281, {.window = 0});
  for (int i = 0; i < 60; ++i) {
    script.pass(minutes(1));
    script.guest(kAck, 1, 1281, {.window = 0});
  }
  EXPECT_EQ(script.told(), "");
  EXPECT_EQ(script.engine().connections(), 1u);
}

TEST(TcpSending, WhatIsNotAcknowledgedIsSentAgainAndAtLastGivenUp) {
  TcpScript script;
  put(*script.establish(), "abc");
  const std::string data = cat("PA 1:4 ack 1", kWindow);
  EXPECT_EQ(script.sent(), data);
  script.pass(milliseconds(200));
  EXPECT_EQ(script.sent(), data);
  script.pass(milliseconds(399));
  EXPECT_EQ(script.sent(), "");
  script.pass(milliseconds(1));
  EXPECT_EQ(script.sent(), data);
  script.pass(minutes(15));
  EXPECT_EQ(script.told(), "ended timed out");
  EXPECT_EQ(script.sent(), "RA 4:4 ack 1");
}

TEST(TcpSending, AfterATimeoutOneSegmentAtATimeUntilTheGuestAnswers) {
  TcpScript script;
  TcpConnection* connection = script.establish();
  put(*connection, std::string(3000, 'x'));
  put(*connection, std::string(2000, 'y'));
  EXPECT_EQ(script.sent(), cat("PA 1:3001 ack 1", kWindow, "\nPA 3001:5001 ack 1", kWindow));
  script.pass(milliseconds(200));
  EXPECT_EQ(script.sent(), cat("PA 1:5001 ack 1", kWindow));
  script.guest(kAck, 1, 3001, {.window = 511});
  EXPECT_EQ(script.sent(), "");
  script.guest(kAck, 1, 5001, {.window = 511});
  EXPECT_EQ(script.told(), "writable");
}

TEST(TcpSending, ThreeDuplicateAcknowledgementsBringItAgainAtOnce) {
  TcpScript script;
  put(*script.establish(), "abc");
  script.sent();
  script.guest(kAck, 1, 1, {.window = 511});
  script.guest(kAck, 1, 1, {.window = 511});
  EXPECT_EQ(script.sent(), "");
  script.guest(kAck, 1, 1, {.window = 511});
  EXPECT_EQ(script.sent(), cat("PA 1:4 ack 1", kWindow));
}

TEST(TcpSending, AFullLinkLosesNothingAndServesAllInTurn) {
  TcpScript script;
  TcpConnection* first = script.establish();
  script.guest(kSyn, 0, 0, {.port = 2});
  TcpConnection* second = script.accept();
  script.guest(kAck, 1, 1, {.port = 2});
  script.sent();
  script.room = 0;
  while (!first->send_room().empty()) put(*first, std::string(60000, 'a'));
  put(*second, "c");
  script.room = 2;
  script.settle();
  EXPECT_EQ(script.sent(), cat("A 1:65281 ack 1", kWindow, "\nPA 1:2 ack 1", kWindow, " to 2"));
}

TEST(TcpSending, AUserThatFoundNoRoomIsCalledWhenThereIsSome) {
  TcpScript script({.send_buffer = 10000});
  TcpConnection* connection = script.establish();
  EXPECT_EQ(put(*connection, std::string(11000, 'x')).size(), 1000u);
  EXPECT_TRUE(connection->send_room().empty());
  script.guest(kAck, 1, 2001);
  EXPECT_EQ(script.told(), "");
  script.guest(kAck, 1, 3001);
  EXPECT_EQ(script.told(), "writable");
  EXPECT_EQ(connection->send_room().size(), 3000u);
}

}  // namespace
}  // namespace msb::net
