#include "vmm/network_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temp_dir.h"

namespace msb::vmm {
namespace {

TEST(NetworkLogTest, EventHasWhatThereIsAndNoMore) {
  net::DenialEvent event;
  event.protocol = NetworkProtocol::tcp;
  event.remote = net::Endpoint{net::Ip::v4(10, 0, 0, 1), 22};
  event.rule = "deny@private";
  EXPECT_EQ(
      to_json(event, 7),
      R"({"time_ms":7,"direction":"egress","protocol":"tcp","address":"10.0.0.1","port":22,"rule":"deny@private"})");
  event = {.direction = NetworkDirection::ingress, .name = "x.example", .guest_port = 80, .rule = "default ingress"};
  EXPECT_EQ(to_json(event, 8),
            R"({"time_ms":8,"direction":"ingress","guest_port":80,"name":"x.example","rule":"default ingress"})");
}

TEST(NetworkLogTest, BytesOfTheGuestsStayOneLine) {
  const auto line = to_json({.name = std::string("a\nb\xff\0c", 6), .rule = "r"}, 0);
  EXPECT_THAT(line, ::testing::Not(::testing::HasSubstr("\n")));
  EXPECT_THAT(line, ::testing::HasSubstr("\\u0000"));
}

TEST(NetworkLogTest, TroubleWithTheProxyIsALine) {
  const auto dir = TempDir::create().value();
  const std::string path = dir.path() + "/network.log";
  NetworkLog log(state::LogWriter::open(path).value());
  log.trouble(Error(ErrorKind::io, "the proxy http://p:1 hangs up"));
  EXPECT_THAT(read_file(path).value(),
              ::testing::MatchesRegex("\\{\"time_ms\":[0-9]+,\"error\":\"the proxy http://p:1 hangs up\"\\}\n"));
}

TEST(NetworkLogTest, EndlessDenialsAreBounded) {
  const auto dir = TempDir::create().value();
  const std::string path = dir.path() + "/network.log";
  NetworkLog log(state::LogWriter::open(path).value());
  for (int i = 0; i < 200'000; ++i) log.denied({.rule = "the same again and again, some hundred bytes of it"});
  EXPECT_LT(read_file(path).value().size(), 2 * LogBudget::kBurst);
}

}  // namespace
}  // namespace msb::vmm
