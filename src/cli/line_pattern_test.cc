#include "cli/line_pattern.h"

#include <gtest/gtest.h>

namespace msb::cli {
namespace {

std::string matching(const std::string& expression, std::string_view text) {
  auto pattern = LinePattern::compile(expression);
  EXPECT_TRUE(pattern);
  return pattern ? pattern->matching_lines(text) : "";
}

TEST(LinePattern, PicksLines) {
  EXPECT_EQ(matching("^th", "one\nthree\nfour\n"), "three\n");
  EXPECT_EQ(matching("e$", "one\nthree\nfour\n"), "one\nthree\n");
  EXPECT_EQ(matching("(on|fou)", "one\nthree\nfour"), "one\nfour");
  EXPECT_EQ(matching("five", "one\nthree\n"), "");
  EXPECT_EQ(matching("^$", "one\n\nthree\n"), "\n");
  EXPECT_EQ(matching("x", ""), "");
}

TEST(LinePattern, TakesAnyBytesOfAnyLength) {
  using namespace std::string_view_literals;
  EXPECT_EQ(matching("b$", "a\0b\nc\n"sv), "a\0b\n"sv);
  const std::string line(1 << 20, 'a');
  EXPECT_EQ(matching("(a|b)*c", line + "\n" + line + "c"), line + "c");
}

TEST(LinePattern, SaysWhatIsWrongWithIt) {
  auto pattern = LinePattern::compile("(");
  ASSERT_FALSE(pattern);
  EXPECT_NE(pattern.error().message().find("'(': "), std::string::npos);
}

}  // namespace
}  // namespace msb::cli
