#include "vmm/network_log.h"

#include <gtest/gtest.h>

#include "base/temp_dir.h"
#include "state/network_event.h"

namespace msb::vmm {
namespace {

NetworkEvent only_event(const std::string& path) {
  auto line = read_file(path).value();
  line.pop_back();
  return state::parse_network_event(line).value();
}

TEST(NetworkLogTest, ADenialIsReadAsItHappened) {
  const auto dir = TempDir::create().value();
  const std::string path = dir.path() + "/network.log";
  NetworkLog log(state::LogWriter::open(path).value());
  log.denied({.protocol = NetworkProtocol::tcp,
              .name = "x.example",
              .remote = net::Endpoint{net::Ip::v4(10, 0, 0, 1), 22},
              .rule = "deny@private"});
  auto event = only_event(path);
  EXPECT_GT(event.timestamp_ms, 0);
  event.timestamp_ms = 0;
  EXPECT_EQ(event, (NetworkEvent{.protocol = NetworkProtocol::tcp,
                                 .address = "10.0.0.1",
                                 .port = 22,
                                 .name = "x.example",
                                 .rule = "deny@private"}));
}

TEST(NetworkLogTest, TroubleWithTheProxyIsALine) {
  const auto dir = TempDir::create().value();
  const std::string path = dir.path() + "/network.log";
  NetworkLog log(state::LogWriter::open(path).value());
  log.trouble(Error(ErrorKind::io, "the proxy http://p:1 hangs up"));
  EXPECT_EQ(only_event(path).error, "the proxy http://p:1 hangs up");
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
