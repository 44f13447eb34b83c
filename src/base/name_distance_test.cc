#include "base/name_distance.h"

#include <gtest/gtest.h>

#include <array>

namespace msb {
namespace {

constexpr std::array<std::string_view, 4> kWords = {"public", "private", "any", "host"};

TEST(MeantWordTest, TwoEditsAwayIsMeant) {
  EXPECT_EQ(meant_word("pubilc", kWords), "public");
  EXPECT_EQ(meant_word("privat", kWords), "private");
  EXPECT_EQ(meant_word("HOST", kWords), "host");
}

TEST(MeantWordTest, MoreThanTwoOrNothingInCommonIsNot) {
  EXPECT_EQ(meant_word("publishers", kWords), std::nullopt);
  EXPECT_EQ(meant_word("", kWords), std::nullopt);
  EXPECT_EQ(meant_word(std::string(100, 'a'), kWords), std::nullopt);
}

TEST(NearestNamesTest, TheNearestComesFirst) {
  EXPECT_EQ(nearest_names("alpin:3", {"debian:12", "alpine:3", "alpine:edge"}, 1),
            (std::vector<std::string>{"alpine:3"}));
}

}  // namespace
}  // namespace msb
