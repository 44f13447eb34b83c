#include "net/policy/pin_table.h"

#include <gtest/gtest.h>

namespace msb::net {
namespace {

using std::chrono::seconds;

class PinTableTest : public ::testing::Test {
 protected:
  static Ip ip(std::string_view text) { return Ip::parse(text).value(); }

  PinTable::Clock::time_point now_{};
  PinTable pins_{[this] { return now_; }};
};

TEST_F(PinTableTest, AnAddressHasTheNamesItWasGivenFor) {
  pins_.pin("WWW.Example.com.", ip("1.2.3.4"), seconds(60));
  pins_.pin("cdn.example.net", ip("1.2.3.4"), seconds(60));
  pins_.pin("other.example.com", ip("1.2.3.5"), seconds(60));
  EXPECT_EQ(pins_.names(ip("1.2.3.4")), (std::vector<std::string>{"cdn.example.net", "www.example.com"}));
  EXPECT_TRUE(pins_.any_name(ip("1.2.3.4"), [](std::string_view name) { return name == "www.example.com"; }));
  EXPECT_FALSE(pins_.any_name(ip("1.2.3.5"), [](std::string_view name) { return name == "www.example.com"; }));
}

TEST_F(PinTableTest, AMappedAddressIsTheOneItMaps) {
  pins_.pin("a.example", ip("::ffff:1.2.3.4"), seconds(60));
  EXPECT_EQ(pins_.names(ip("1.2.3.4")), (std::vector<std::string>{"a.example"}));
  EXPECT_EQ(pins_.names(ip("::ffff:1.2.3.4")), (std::vector<std::string>{"a.example"}));
}

TEST_F(PinTableTest, APinEndsWithItsTimeToLive) {
  pins_.pin("a.example", ip("1.2.3.4"), seconds(60));
  now_ += seconds(59);
  EXPECT_EQ(pins_.names(ip("1.2.3.4")).size(), 1U);
  now_ += seconds(1);
  EXPECT_TRUE(pins_.names(ip("1.2.3.4")).empty());
}

TEST_F(PinTableTest, LivesAreNeitherTooShortToConnectNorEndless) {
  pins_.pin("short.example", ip("1.2.3.4"), seconds(0));
  pins_.pin("long.example", ip("1.2.3.5"), seconds(1'000'000'000));
  now_ += PinTable::kMinimumTtl - seconds(1);
  EXPECT_EQ(pins_.names(ip("1.2.3.4")).size(), 1U);
  now_ += seconds(1);
  EXPECT_TRUE(pins_.names(ip("1.2.3.4")).empty());
  now_ += PinTable::kMaximumTtl;
  EXPECT_TRUE(pins_.names(ip("1.2.3.5")).empty());
}

TEST_F(PinTableTest, AnotherAnswerAddsAndNeverShortens) {
  pins_.pin("cdn.example", ip("1.2.3.4"), seconds(300));
  pins_.pin("cdn.example", ip("1.2.3.5"), seconds(60));
  pins_.pin("cdn.example", ip("1.2.3.4"), seconds(30));
  now_ += seconds(299);
  EXPECT_EQ(pins_.names(ip("1.2.3.4")).size(), 1U);
  EXPECT_TRUE(pins_.names(ip("1.2.3.5")).empty());
}

TEST_F(PinTableTest, UnpinTakesTheNamesAddressesOfOneFamily) {
  pins_.pin("a.example", ip("1.2.3.4"), seconds(60));
  pins_.pin("a.example", ip("1.2.3.5"), seconds(60));
  pins_.pin("a.example", ip("2606:4700::1"), seconds(60));
  pins_.pin("b.example", ip("1.2.3.4"), seconds(60));
  pins_.unpin("A.example", Family::v4);
  EXPECT_EQ(pins_.names(ip("1.2.3.4")), (std::vector<std::string>{"b.example"}));
  EXPECT_TRUE(pins_.names(ip("1.2.3.5")).empty());
  EXPECT_EQ(pins_.names(ip("2606:4700::1")).size(), 1U);
}

TEST_F(PinTableTest, TheOldestLeaveWhenThereAreTooMany) {
  pins_.pin("kept.example", Ip::v4(1), seconds(60));
  for (uint32_t i = 2; i <= PinTable::kMaximumPins; ++i) pins_.pin("x.example", Ip::v4(i), seconds(60));
  pins_.pin("kept.example", Ip::v4(1), seconds(60));  // answered again: the youngest now
  pins_.pin("y.example", Ip::v4(0xffff), seconds(60));
  EXPECT_EQ(pins_.names(Ip::v4(1)).size(), 1U);
  EXPECT_TRUE(pins_.names(Ip::v4(2)).empty());
  EXPECT_EQ(pins_.names(Ip::v4(3)).size(), 1U);
}

TEST(CanonicalNameTest, HasNeitherCaseNorDotsAtTheEnds) {
  EXPECT_EQ(canonical_name("..WWW.Example.COM."), "www.example.com");
  EXPECT_EQ(canonical_name("."), "");
}

}  // namespace
}  // namespace msb::net
