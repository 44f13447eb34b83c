#include <gtest/gtest.h>

#include "net/tcp/testing/tcp_script.h"

namespace msb::net {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::put;
using testing::TcpScript;

constexpr char kSynAck[] = "SA 0:1 ack 1 win 65535 mss 1460 scale 5";
// The window of an open connection, 1 MiB in units of 32.
constexpr char kWindow[] = " win 32768";

TEST(TcpHandshake, ASynIsAnsweredWhenItIsAccepted) {
  TcpScript script;
  script.guest(kSyn, 0, 0);
  script.guest(kSyn, 0, 0);
  EXPECT_EQ(script.sent(), "");
  ASSERT_EQ(script.requests().size(), 1u);
  script.accept();
  EXPECT_EQ(script.sent(), kSynAck);
  script.guest(kAck, 1, 1);
  EXPECT_EQ(script.sent(), "");
  EXPECT_EQ(script.engine().connections(), 1u);
}

TEST(TcpHandshake, ARequestThatIsDroppedIsReset) {
  TcpScript script;
  script.guest(kSyn, 0, 0);
  script.requests().clear();
  EXPECT_EQ(script.sent(), "RA 0:0 ack 1");
}

TEST(TcpHandshake, ARequestMayBeUnreachable) {
  TcpScript script;
  script.guest(kSyn, 0, 0);
  script.requests().front().unreachable(Unreachable::host);
  EXPECT_EQ(script.sent(), "unreachable 1 of 0");
  EXPECT_EQ(script.engine().connections(), 0u);
}

TEST(TcpHandshake, ARequestThatTheGuestTakesBackEndsItsUser) {
  TcpScript script;
  script.guest(kSyn, 0, 0);
  script.guest(kRst, 1, 0);
  EXPECT_EQ(script.accept(), nullptr);
  EXPECT_EQ(script.told(), "ended reset");
  EXPECT_EQ(script.sent(), "");
}

TEST(TcpHandshake, AnUnansweredSynAckIsRepeatedAndGivenUp) {
  TcpScript script;
  script.guest(kSyn, 0, 0);
  script.accept();
  script.sent();
  script.pass(seconds(1));
  EXPECT_EQ(script.sent(), kSynAck);
  script.pass(seconds(1));
  EXPECT_EQ(script.sent(), "");
  script.pass(seconds(1));
  EXPECT_EQ(script.sent(), kSynAck);
  script.pass(minutes(1));
  EXPECT_EQ(script.sent(), "RA 1:1 ack 1");
  EXPECT_EQ(script.told(), "ended timed out");
}

TEST(TcpHandshake, ARepeatedSynHasTheSynAckRepeated) {
  TcpScript script;
  script.guest(kSyn, 0, 0);
  script.accept();
  script.sent();
  script.guest(kSyn, 0, 0);
  EXPECT_EQ(script.sent(), kSynAck);
}

TEST(TcpHandshake, AWrongAcknowledgementIsReset) {
  TcpScript script;
  script.guest(kSyn, 0, 0);
  script.accept();
  script.sent();
  script.guest(kAck, 1, 77);
  EXPECT_EQ(script.sent(), "RA 77:77 ack 1");
}

TEST(TcpHandshake, WithoutScalingTheWindowIsWhatFits) {
  TcpScript script;
  script.guest(kSyn, 0, 0, {.mss = std::nullopt, .scale = std::nullopt});
  script.accept();
  EXPECT_EQ(script.sent(), "SA 0:1 ack 1 win 65535 mss 1460");
  script.guest(kAck, 1, 1, {.payload = "x"});
  EXPECT_EQ(script.sent(), "A 1:1 ack 2 win 65534");
}

TEST(TcpHandshake, DataThatWasReadyIsSentAtOnce) {
  TcpScript script;
  script.guest(kSyn, 0, 0);
  put(*script.accept(), "banner");
  EXPECT_EQ(script.sent(), kSynAck);
  script.guest(kAck, 1, 1);
  EXPECT_EQ(script.sent(), cat("PA 1:7 ack 1", kWindow));
}

TEST(TcpHandshake, BeyondTheLimitsSynsAreReset) {
  TcpScript script({.connections = 1, .pending = 2});
  script.guest(kSyn, 0, 0, {.port = 1});
  script.guest(kSyn, 0, 0, {.port = 2});
  script.guest(kSyn, 0, 0, {.port = 3});
  EXPECT_EQ(script.sent(), "RA 0:0 ack 1 to 3");
  EXPECT_NE(script.accept(), nullptr);
  script.sent();
  EXPECT_EQ(script.accept(), nullptr);
  EXPECT_EQ(script.sent(), "RA 0:0 ack 1 to 2");
}

TEST(TcpHandshake, SegmentsOfNoConnectionAreReset) {
  TcpScript script;
  script.guest(kAck, 5, 9);
  EXPECT_EQ(script.sent(), "R 9:9");
  script.guest(kFin, 5, 0, {.payload = "ab"});
  EXPECT_EQ(script.sent(), "RA 0:0 ack 8");
  script.guest(kRst, 5, 0);
  EXPECT_EQ(script.sent(), "");
}

TEST(TcpConnect, IsEstablishedByTheGuestsSynAck) {
  TcpScript script;
  TcpConnection* connection = script.connect();
  EXPECT_EQ(script.sent(), "S 0:1 win 65535 mss 1460 scale 5");
  put(*connection, "hello");
  script.guest(kSyn | kAck, 0, 1);
  EXPECT_EQ(script.told(), "established");
  EXPECT_EQ(script.sent(), cat("PA 1:6 ack 1", kWindow));
}

TEST(TcpConnect, IsRefusedByTheGuestsReset) {
  TcpScript script;
  script.connect();
  script.sent();
  script.guest(kRst | kAck, 0, 99);
  EXPECT_EQ(script.told(), "");
  script.guest(kRst | kAck, 0, 1);
  EXPECT_EQ(script.told(), "ended refused");
  EXPECT_EQ(script.sent(), "");
}

TEST(TcpConnect, IsGivenUpWhenNothingAnswers) {
  TcpScript script;
  script.connect();
  script.sent();
  script.pass(seconds(1));
  EXPECT_EQ(script.sent(), "S 0:1 win 65535 mss 1460 scale 5");
  script.pass(minutes(1));
  EXPECT_EQ(script.told(), "ended timed out");
  EXPECT_EQ(script.sent(), "");
}

TEST(TcpConnect, BothMayCallAtOnce) {
  TcpScript script;
  script.connect();
  script.sent();
  script.guest(kSyn, 0, 0);
  EXPECT_EQ(script.sent(), kSynAck);
  script.guest(kSyn | kAck, 0, 1);
  EXPECT_EQ(script.told(), "established");
}

TEST(TcpConnect, NeedsAGuestOfThatFamilyAndFreeEnds) {
  TcpScript script;
  std::vector<std::string> events;
  const auto user = [&] { return std::make_unique<testing::RecordingUser>(events); };
  const Ip v6 = Ip::parse("2001:db8::1").value();
  EXPECT_EQ(script.engine().connect({v6, 1}, {v6, 2}, user()).error().kind(), ErrorKind::invalid_config);
  TcpConnection* connection = script.connect();
  EXPECT_EQ(script.engine().connect(connection->remote(), connection->guest(), user()).error().errnum(), EADDRINUSE);
}

}  // namespace
}  // namespace msb::net
