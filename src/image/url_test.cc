#include "image/url.h"

#include <gtest/gtest.h>

namespace msb::image {
namespace {

std::string resolved(std::string_view base, std::string_view location) {
  auto url = Url::parse(base)->resolve(location);
  return url ? url->str() : "error";
}

TEST(Url, RelativeLocationsAreSeenFromTheBase) {
  EXPECT_EQ(resolved("https://a/b/c?d", "x"), "https://a/b/x");
  EXPECT_EQ(resolved("https://a/b/c?d", "/x?y"), "https://a/x?y");
  EXPECT_EQ(resolved("https://a/b/c?d", "?e"), "https://a/b/c?e");
  EXPECT_EQ(resolved("https://a/b", "//h:1/x"), "https://h:1/x");
  EXPECT_EQ(resolved("https://a/b", "HTTP://H/x#f"), "http://h/x");
}

TEST(Url, OtherSchemesAndCredentialsAreRefused) {
  EXPECT_EQ(resolved("https://a/b", "file:///etc/passwd"), "error");
  EXPECT_EQ(resolved("https://a/b", "https://user:pw@h/x"), "error");
  EXPECT_EQ(resolved("https://a/b", "https:///x"), "error");
  EXPECT_EQ(resolved("https://a/b", "/x\r\nHost: y"), "error");
}

TEST(Url, OriginsIncludeTheDefaultPort) {
  EXPECT_TRUE(Url::parse("https://a/x")->same_origin(*Url::parse("https://a:443/y")));
  EXPECT_FALSE(Url::parse("https://a/x")->same_origin(*Url::parse("http://a/x")));
  EXPECT_FALSE(Url::parse("https://a/x")->same_origin(*Url::parse("https://a:8443/x")));
  EXPECT_TRUE(Url::parse("http://[::1]/x")->same_origin(*Url::parse("http://[::1]:80/x")));
}

TEST(PercentEncode, KeepsOnlyUnreservedCharacters) {
  EXPECT_EQ(percent_encode("a-b_c.d~e f:/?"), "a-b_c.d~e%20f%3A%2F%3F");
}

}  // namespace
}  // namespace msb::image
