#include "state/network_event.h"

#include <gtest/gtest.h>

namespace msb::state {
namespace {

TEST(NetworkEventTest, ALineHasWhatThereIsAndNoMore) {
  EXPECT_EQ(
      format_network_event({.timestamp_ms = 7,
                            .protocol = NetworkProtocol::tcp,
                            .address = "10.0.0.1",
                            .port = 22,
                            .rule = "deny@private"}),
      R"({"time_ms":7,"direction":"egress","protocol":"tcp","address":"10.0.0.1","port":22,"rule":"deny@private"})"
      "\n");
  EXPECT_EQ(format_network_event({.timestamp_ms = 8,
                                  .direction = NetworkDirection::ingress,
                                  .guest_port = 80,
                                  .name = "x.example",
                                  .rule = "default ingress"}),
            R"({"time_ms":8,"direction":"ingress","guest_port":80,"name":"x.example","rule":"default ingress"})"
            "\n");
  EXPECT_EQ(format_network_event({.timestamp_ms = 9, .missing_bytes = 4096}), R"({"time_ms":9,"missing_bytes":4096})"
                                                                              "\n");
}

TEST(NetworkEventTest, IsReadBack) {
  const NetworkEvent events[] = {
      {.timestamp_ms = 1, .protocol = NetworkProtocol::icmpv6, .address = "fe80::1", .rule = "default egress"},
      {.timestamp_ms = 2,
       .direction = NetworkDirection::ingress,
       .protocol = NetworkProtocol::udp,
       .address = "::1",
       .port = 65535,
       .guest_port = 1,
       .name = "a.example",
       .rule = "deny:ingress@any"},
      {.timestamp_ms = 3, .error = "the proxy is gone"},
      {.timestamp_ms = 4, .missing_bytes = 1},
  };
  for (const NetworkEvent& event : events) {
    std::string line = format_network_event(event);
    line.pop_back();
    EXPECT_EQ(parse_network_event(line), event) << line;
  }
}

TEST(NetworkEventTest, BytesOfTheGuestsStayOneLine) {
  const auto line = format_network_event({.name = std::string("a\nb\xff\0c", 6), .rule = "r"});
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_NE(line.find("\\u0000"), line.npos);
}

TEST(NetworkEventTest, OtherLinesAreNone) {
  for (const char* line : {"", "{}", "[]", "null", "{\"t\":1,\"s\":\"stdout\",\"d\":\"\"}", "{\"time_ms\":1}",
                           "{\"time_ms\":\"1\",\"rule\":\"r\"}", "{\"time_ms\":1,\"direction\":\"egress\",\"rule\":7}"})
    EXPECT_FALSE(parse_network_event(line)) << line;
}

}  // namespace
}  // namespace msb::state
