#include "net/policy/address_groups.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace msb::net {
namespace {

constexpr auto kPublic = NetworkGroup::public_;
constexpr auto kPrivate = NetworkGroup::private_;
constexpr auto kMetadata = NetworkGroup::metadata;
constexpr auto kLoopback = NetworkGroup::loopback;
constexpr auto kLinkLocal = NetworkGroup::link_local;
constexpr auto kMulticast = NetworkGroup::multicast;
constexpr std::optional<NetworkGroup> kNone = std::nullopt;

Ip ip(std::string_view text) {
  return Ip::parse(text).value();
}

Bytes bytes_of(const Ip& of) {
  return {of.bytes().begin(), of.bytes().end()};
}

Ip stepped(const Ip& from, int by) {
  Bytes bytes = bytes_of(from);
  for (size_t i = bytes.size(); i-- > 0;) {
    bytes[i] = static_cast<uint8_t>(bytes[i] + by);
    if (bytes[i] != (by > 0 ? 0x00 : 0xff)) break;
  }
  return Ip::from_bytes(bytes);
}

Ip last_of(const Cidr& range) {
  Bytes bytes = bytes_of(range.base());
  for (size_t bit = range.prefix(); bit < bytes.size() * 8; ++bit) bytes[bit / 8] |= 0x80 >> (bit % 8);
  return Ip::from_bytes(bytes);
}

struct Edge {
  const char* range;
  std::optional<NetworkGroup> before;  // the group of the address before the first
  std::optional<NetworkGroup> inside;  // of the first and the last
  std::optional<NetworkGroup> after;   // of the one after the last
};

class EdgesTest : public ::testing::TestWithParam<Edge> {};

TEST_P(EdgesTest, AreWhereTheRangeEnds) {
  const Cidr range = Cidr::parse(GetParam().range).value();
  EXPECT_EQ(group_of(stepped(range.base(), -1)), GetParam().before);
  EXPECT_EQ(group_of(range.base()), GetParam().inside);
  EXPECT_EQ(group_of(last_of(range)), GetParam().inside);
  EXPECT_EQ(group_of(stepped(last_of(range), 1)), GetParam().after);
}

// 2001:: is Teredo's, with 255.255.255.255 in it. 0.0.0.0 and 255.255.255.255 are neighbours here, as are :: and
// ffff:...
INSTANTIATE_TEST_SUITE_P(
    V4, EdgesTest,
    ::testing::Values(
        Edge{"0.0.0.0/8", kMulticast, kNone, kPublic}, Edge{"10.0.0.0/8", kPublic, kPrivate, kPublic},
        Edge{"100.64.0.0/10", kPublic, kPrivate, kPublic}, Edge{"100.100.100.200", kPrivate, kMetadata, kPrivate},
        Edge{"127.0.0.0/8", kPublic, kLoopback, kPublic}, Edge{"168.63.129.16", kPublic, kMetadata, kPublic},
        Edge{"169.254.0.0/16", kPublic, kLinkLocal, kPublic}, Edge{"169.254.0.23", kLinkLocal, kMetadata, kLinkLocal},
        Edge{"169.254.42.42", kLinkLocal, kMetadata, kLinkLocal},
        Edge{"169.254.169.254", kLinkLocal, kMetadata, kLinkLocal},
        Edge{"169.254.170.2", kLinkLocal, kMetadata, kLinkLocal},
        Edge{"169.254.170.23", kLinkLocal, kMetadata, kLinkLocal}, Edge{"172.16.0.0/12", kPublic, kPrivate, kPublic},
        Edge{"192.0.0.0/24", kPublic, kNone, kPublic}, Edge{"192.0.0.192", kNone, kMetadata, kNone},
        Edge{"192.0.2.0/24", kPublic, kNone, kPublic}, Edge{"192.88.99.0/24", kPublic, kNone, kPublic},
        Edge{"192.168.0.0/16", kPublic, kPrivate, kPublic}, Edge{"198.18.0.0/15", kPublic, kNone, kPublic},
        Edge{"198.51.100.0/24", kPublic, kNone, kPublic}, Edge{"203.0.113.0/24", kPublic, kNone, kPublic},
        Edge{"224.0.0.0/4", kPublic, kMulticast, kNone}, Edge{"255.255.255.255", kNone, kMulticast, kNone}));

INSTANTIATE_TEST_SUITE_P(
    V6, EdgesTest,
    ::testing::Values(
        Edge{"::/128", kMulticast, kNone, kLoopback}, Edge{"::1", kNone, kLoopback, kNone},
        Edge{"64:ff9b:1:1::/64", kNone, kNone, kNone}, Edge{"100::/64", kNone, kNone, kNone},
        Edge{"2000::/16", kNone, kPublic, kMulticast}, Edge{"2001:1::/32", kNone, kNone, kNone},
        Edge{"2001:1ff::/32", kNone, kNone, kPublic}, Edge{"2001:200::/23", kNone, kPublic, kPublic},
        Edge{"2001:db8::/32", kPublic, kNone, kPublic}, Edge{"3fff::/20", kPublic, kNone, kPublic},
        Edge{"3fff:1000::/20", kNone, kPublic, kPublic}, Edge{"4000::/3", kPublic, kNone, kNone},
        Edge{"5f00::/16", kNone, kNone, kNone}, Edge{"fc00::/7", kNone, kPrivate, kNone},
        Edge{"fd00:ec2::23", kPrivate, kMetadata, kPrivate}, Edge{"fd00:ec2::254", kPrivate, kMetadata, kPrivate},
        Edge{"fd20:ce::254", kPrivate, kMetadata, kPrivate}, Edge{"fd00:c1::a9fe:a9fe", kPrivate, kMetadata, kPrivate},
        Edge{"fd00:100::100:200", kPrivate, kMetadata, kPrivate}, Edge{"fd00:42::42", kPrivate, kMetadata, kPrivate},
        Edge{"fd00:a9fe:a9fe::1", kPrivate, kMetadata, kPrivate}, Edge{"fe80::/10", kNone, kLinkLocal, kNone},
        Edge{"fe80::a9fe:a9fe", kLinkLocal, kMetadata, kLinkLocal}, Edge{"fec0::/10", kLinkLocal, kNone, kMulticast},
        Edge{"ff00::/8", kNone, kMulticast, kNone}));

// Every way to carry an IPv4 address, with each kind of address in it.
class CarriedTest : public ::testing::TestWithParam<const char*> {
 protected:
  // `GetParam()` with 10.20.30.40 in its bytes; the same with another address there.
  Ip carrying(const Ip& v4) {
    Bytes bytes = bytes_of(ip(GetParam()));
    const bool inverted = bytes[0] == 0x20 && bytes[1] == 0x01 && bytes[2] == 0;
    Bytes placeholder = {10, 20, 30, 40};
    Bytes wanted = bytes_of(v4);
    for (uint8_t& byte : placeholder) byte ^= inverted ? 0xff : 0;
    for (uint8_t& byte : wanted) byte ^= inverted ? 0xff : 0;
    const auto at = std::ranges::search(bytes, placeholder).begin();
    EXPECT_NE(at, bytes.end());
    std::ranges::copy(wanted, at);
    return Ip::from_bytes(bytes);
  }
};

TEST_P(CarriedTest, IsJudgedByWhatItEmbeds) {
  for (const char* text : {"8.8.8.8", "10.0.0.1", "169.254.169.254", "169.254.1.1", "168.63.129.16", "127.0.0.1",
                           "192.0.2.1", "224.0.0.1", "0.0.0.2", "255.255.255.255"})
    EXPECT_EQ(group_of(carrying(ip(text))), group_of(ip(text))) << text << " in " << carrying(ip(text)).to_string();
}

INSTANTIATE_TEST_SUITE_P(Carriers, CarriedTest,
                         ::testing::Values("::ffff:10.20.30.40",                     // mapped
                                           "::10.20.30.40",                          // compatible
                                           "::ffff:0:10.20.30.40",                   // translated
                                           "64:ff9b::10.20.30.40",                   // NAT64
                                           "64:ff9b:1::10.20.30.40",                 // NAT64 of a site
                                           "2002:a14:1e28::1",                       // 6to4
                                           "2001:0:4136:e378:8000:63bf:f5eb:e1d7",   // Teredo
                                           "2a00:1450:4001:80b:0:5efe:10.20.30.40",  // ISATAP
                                           "2a00:1450:4001:80b:200:5efe:10.20.30.40"));

TEST(EmbeddedTest, OrdinaryAddressesEmbedNothing) {
  for (const char* text : {"10.0.0.1", "::", "::1", "2606:4700::1111", "fe80::5efe:a00:1", "64:ff9b:1:1::a00:1"})
    EXPECT_EQ(embedded_v4(ip(text)), std::nullopt) << text;
}

TEST(UnmappedTest, OnlyMappedAddressesChange) {
  EXPECT_EQ(unmapped(ip("::ffff:1.2.3.4")), ip("1.2.3.4"));
  EXPECT_EQ(unmapped(ip("64:ff9b::1.2.3.4")), ip("64:ff9b::1.2.3.4"));
  EXPECT_EQ(unmapped(ip("1.2.3.4")), ip("1.2.3.4"));
}

}  // namespace
}  // namespace msb::net
