#include "image/challenge.h"

#include <gtest/gtest.h>

namespace msb::image {
namespace {

TEST(Challenges, BearerWithQuotedParameters) {
  const auto found =
      parse_challenges(R"(Bearer realm="https://a.example/token",service="reg",scope="repository:x/y:pull,push")");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].scheme, "bearer");
  EXPECT_EQ(found[0].param("realm"), "https://a.example/token");
  EXPECT_EQ(found[0].param("scope"), "repository:x/y:pull,push");
}

TEST(Challenges, SeveralInOneHeader) {
  const auto found = parse_challenges(R"(Basic realm="a \"b\"", BEARER  Realm = https://x/y , service=z)");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].param("realm"), "a \"b\"");
  EXPECT_EQ(found[1].scheme, "bearer");
  EXPECT_EQ(found[1].param("service"), "z");
}

TEST(Challenges, NonsenseGivesNoParameters) {
  EXPECT_TRUE(parse_challenges("").empty());
  EXPECT_TRUE(parse_challenges(",,, ==").empty());
  EXPECT_EQ(parse_challenges("realm=\"unterminated").size(), 0u);
}

}  // namespace
}  // namespace msb::image
