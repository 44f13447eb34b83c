#include "base/base64.h"

#include <gtest/gtest.h>

namespace msb {
namespace {

TEST(Base64Test, BytesComeBackWhateverTheirNumber) {
  EXPECT_EQ(base64_encode("user:pass"), "dXNlcjpwYXNz");
  EXPECT_EQ(base64_encode(""), "");
  EXPECT_EQ(base64_encode(std::string("\0\xff\xfe", 3)), "AP/+");
  for (const std::string text : {"", "a", "ab", "abc", "abcd", "\xff\x80"})
    EXPECT_EQ(base64_decode(base64_encode(text)), text);
}

TEST(Base64Test, OtherCharactersAreRefused) {
  EXPECT_EQ(base64_decode("YWI"), "ab");
  EXPECT_EQ(base64_decode("a!"), std::nullopt);
  EXPECT_EQ(base64_decode("YW I="), std::nullopt);
}

}  // namespace
}  // namespace msb
