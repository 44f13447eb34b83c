#include <gtest/gtest.h>

#include <microsandbox/network.h>

namespace msb {
namespace {

TEST(PortBindingTest, EveryFormIsReadAndWrittenBack) {
  struct Case {
    const char* text;
    PortBinding want;
  };
  for (const auto& [text, want] : {
           Case{"8080:80", {.host_port = 8080, .guest_port = 80}},
           Case{"0:80", {.host_port = 0, .guest_port = 80}},
           Case{"53:53/udp", {.host_port = 53, .guest_port = 53, .protocol = PortBinding::Protocol::udp}},
           Case{"0.0.0.0:80:80", {.bind = "0.0.0.0", .host_port = 80, .guest_port = 80}},
           Case{"[::1]:80:8080/udp",
                {.bind = "::1", .host_port = 80, .guest_port = 8080, .protocol = PortBinding::Protocol::udp}},
       }) {
    const auto binding = PortBinding::parse(text);
    ASSERT_TRUE(binding) << text << ": " << binding.error().to_string();
    EXPECT_EQ(*binding, want) << text;
    EXPECT_EQ(binding->to_string(), text);
  }
  EXPECT_EQ(PortBinding::parse("127.0.0.1:1:2/tcp")->to_string(), "1:2");
}

TEST(PortBindingTest, WhatIsMissingOrWrongIsNamed) {
  struct Case {
    const char* text;
    const char* says;
  };
  for (const auto& [text, says] : {
           Case{"80", "it needs a port of the host and one of the guest"},
           Case{"", "it needs a port of the host and one of the guest"},
           Case{"80:0", "the guest's port has to be 1 to 65535, not '0'"},
           Case{"65536:80", "the host's port has to be 0 to 65535, not '65536'"},
           Case{":80", "the host's port has to be 0 to 65535, not ''"},
           Case{"80:80/sctp", "the protocol is tcp or udp, not 'sctp'"},
           Case{"8000-8010:8000-8010", "ranges of ports cannot be published; name each"},
           Case{"localhost:80:80", "it binds to an address of this host, IPv6 in brackets, not to 'localhost'"},
           Case{"::1:80:80", "it binds to an address of this host, IPv6 in brackets, not to '::1'"},
           Case{"[1.2.3.4]:80:80", "it binds to an address of this host, IPv6 in brackets, not to '1.2.3.4'"},
           Case{":80:80", "it binds to an address of this host, IPv6 in brackets, not to ''"},
       }) {
    const auto binding = PortBinding::parse(text);
    ASSERT_FALSE(binding) << text;
    EXPECT_EQ(binding.error().kind(), ErrorKind::invalid_config);
    EXPECT_EQ(binding.error().message(), "port '" + std::string(text) + "': " + says);
  }
}

}  // namespace
}  // namespace msb
