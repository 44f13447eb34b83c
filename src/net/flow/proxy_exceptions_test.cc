#include "net/flow/proxy_exceptions.h"

#include <gtest/gtest.h>

namespace msb::net {
namespace {

bool excepted(std::string_view list, std::string_view address, std::string_view name = "") {
  PinTable pins;
  const Ip ip = Ip::parse(address).value();
  if (!name.empty()) pins.pin(name, ip, std::chrono::seconds(60));
  return ProxyExceptions::parse(list).has(ip, pins);
}

TEST(ProxyExceptionsTest, AddressesAndRangesOfBothFamilies) {
  constexpr std::string_view kList = " 10.0.0.0/8,192.168.1.1 , fd00::/8,[2001:db8::1]";
  EXPECT_TRUE(excepted(kList, "10.255.0.1"));
  EXPECT_TRUE(excepted(kList, "192.168.1.1"));
  EXPECT_TRUE(excepted(kList, "fd12::1"));
  EXPECT_TRUE(excepted(kList, "2001:db8::1"));
  EXPECT_FALSE(excepted(kList, "192.168.1.2"));
  EXPECT_FALSE(excepted(kList, "2001:db8::2"));
}

TEST(ProxyExceptionsTest, NamesAreThemselvesAndAllBelow) {
  for (const char* list : {"corp.example", ".corp.example", "*.corp.example", "Corp.Example."}) {
    EXPECT_TRUE(excepted(list, "1.2.3.4", "corp.example")) << list;
    EXPECT_TRUE(excepted(list, "1.2.3.4", "a.b.corp.example")) << list;
    EXPECT_FALSE(excepted(list, "1.2.3.4", "evilcorp.example")) << list;
    EXPECT_FALSE(excepted(list, "1.2.3.4", "example")) << list;
    EXPECT_FALSE(excepted(list, "1.2.3.4")) << list;
  }
}

TEST(ProxyExceptionsTest, AStarIsEverythingAndNothingIsNothing) {
  EXPECT_TRUE(excepted("localhost,*", "1.2.3.4"));
  EXPECT_FALSE(excepted("", "1.2.3.4", "corp.example"));
  EXPECT_FALSE(excepted(" , ,. *.", "1.2.3.4", "corp.example"));
}

}  // namespace
}  // namespace msb::net
