#include "net/address.h"

#include <gtest/gtest.h>

namespace msb::net {
namespace {

TEST(IpTest, TextsOfBothFamiliesComeBack) {
  EXPECT_EQ(Ip::parse("192.168.0.1")->to_string(), "192.168.0.1");
  EXPECT_EQ(Ip::parse("FD42:6D73:0062::1")->to_string(), "fd42:6d73:62::1");
  EXPECT_EQ(*Ip::parse("127.0.0.1"), Ip::v4(0x7f000001));
}

TEST(IpTest, WhatIsNoAddressIsRefused) {
  for (const char* text : {"", "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "[::1]", "fe80::1%eth0", "localhost"})
    EXPECT_FALSE(Ip::parse(text)) << text;
  EXPECT_FALSE(Ip::parse(std::string_view("1.2.3.4\0x", 9)));
}

TEST(IpTest, MappedAndPlainAreDifferentAddresses) {
  EXPECT_NE(*Ip::parse("::ffff:1.2.3.4"), *Ip::parse("1.2.3.4"));
}

TEST(EndpointTest, APortMayFollowTheAddress) {
  EXPECT_EQ(Endpoint::parse("1.1.1.1", 53)->to_string(), "1.1.1.1:53");
  EXPECT_EQ(Endpoint::parse("1.1.1.1:5353", 53)->to_string(), "1.1.1.1:5353");
  EXPECT_EQ(Endpoint::parse("2606:4700::1111", 53)->to_string(), "[2606:4700::1111]:53");
  EXPECT_EQ(Endpoint::parse("[2606:4700::1111]", 53)->to_string(), "[2606:4700::1111]:53");
  EXPECT_EQ(Endpoint::parse("[2606:4700::1111]:853", 53)->to_string(), "[2606:4700::1111]:853");
  for (const char* text :
       {"", ":53", "1.1.1.1:", "1.1.1.1:0", "1.1.1.1:65536", "[1.1.1.1]:53", "dns.example", "[::1", "::1]:53"})
    EXPECT_FALSE(Endpoint::parse(text, 53)) << text;
}

TEST(CidrTest, BitsAfterThePrefixDoNotCount) {
  const auto cidr = Cidr::parse("172.16.5.5/12");
  EXPECT_EQ(cidr->to_string(), "172.16.0.0/12");
  EXPECT_TRUE(cidr->contains(*Ip::parse("172.31.255.255")));
  EXPECT_FALSE(cidr->contains(*Ip::parse("172.32.0.0")));
  EXPECT_FALSE(cidr->contains(*Ip::parse("::ffff:172.16.0.1")));
}

TEST(CidrTest, TheWholeAndTheSingleAddress) {
  EXPECT_TRUE(Cidr::parse("::/0")->contains(*Ip::parse("ffff::")));
  EXPECT_TRUE(Cidr::parse("10.0.0.1")->contains(*Ip::parse("10.0.0.1")));
  EXPECT_FALSE(Cidr::parse("10.0.0.1")->contains(*Ip::parse("10.0.0.2")));
  EXPECT_FALSE(Cidr::parse("10.0.0.0/33"));
  EXPECT_FALSE(Cidr::parse("10.0.0.0/"));
  EXPECT_FALSE(Cidr::parse("10.0.0.0/ 8"));
}

TEST(EndpointTest, SocketAddressesComeBack) {
  for (const char* text : {"1.2.3.4", "fd00::1"}) {
    const Endpoint endpoint{*Ip::parse(text), 8080};
    EXPECT_EQ(to_endpoint(to_socket_address(endpoint).storage), endpoint);
  }
  EXPECT_EQ(to_endpoint(to_socket_address({*Ip::parse("::ffff:1.2.3.4"), 1}).storage).to_string(), "1.2.3.4:1");
}

TEST(MacTest, TextsComeBack) {
  EXPECT_EQ(Mac::parse("02:6d:73:00:01:02")->to_string(), "02:6d:73:00:01:02");
  EXPECT_FALSE(Mac::parse("02:6d:73:00:01:0"));
  EXPECT_FALSE(Mac::parse("02-6d-73-00-01-02"));
}

}  // namespace
}  // namespace msb::net
