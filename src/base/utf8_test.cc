#include "base/utf8.h"

#include <gtest/gtest.h>

namespace msb {
namespace {

TEST(Utf8, characters_have_their_size) {
  EXPECT_EQ(utf8_size("a"), 1u);
  EXPECT_EQ(utf8_size("\xc3\xa9"), 2u);
  EXPECT_EQ(utf8_size("\xe2\x82\xac."), 3u);
  EXPECT_EQ(utf8_size("\xf0\x9f\x98\x80"), 4u);
  EXPECT_TRUE(is_utf8("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"));
  EXPECT_TRUE(is_utf8(""));
}

TEST(Utf8, everything_else_is_none) {
  for (std::string_view text : {"", "\x80", "\xff", "\xc3", "\xc0\x80", "\xc3(", "\xe0\x80\x80", "\xed\xa0\x80",
                                "\xe2\x82", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80"})
    EXPECT_EQ(utf8_size(text), 0u) << text;
  EXPECT_FALSE(is_utf8("fine until \xff"));
}

}  // namespace
}  // namespace msb
