#include <gtest/gtest.h>

#include "base/result.h"

namespace msb {
namespace {

Result<int> halve(int value) {
  if (value % 2 != 0) return fail(ErrorKind::invalid_config, cat(value, " is odd"));
  return value / 2;
}

Result<int> quarter(int value) {
  MSB_TRY(int half, halve(value));
  return halve(half);
}

Result<> check(int value) {
  MSB_CHECK_CTX(quarter(value), "while dividing");
  return {};
}

TEST(Error, try_passes_values_and_errors) {
  EXPECT_EQ(quarter(8).value(), 2);
  auto odd = quarter(6);
  ASSERT_FALSE(odd);
  EXPECT_EQ(odd.error().kind(), ErrorKind::invalid_config);
  EXPECT_EQ(odd.error().message(), "3 is odd");
}

TEST(Error, trail_reads_from_the_outermost_layer) {
  auto outcome = check(6);
  ASSERT_FALSE(outcome);
  auto error = std::move(outcome).error().context("starting up");
  EXPECT_EQ(error.to_string(), "starting up: while dividing: 3 is odd");
}

TEST(Error, errno_is_kept_and_explained) {
  auto outcome = Result<>(fail_errno("open /nowhere", ENOENT));
  EXPECT_EQ(outcome.error().errnum(), ENOENT);
  EXPECT_EQ(outcome.error().kind(), ErrorKind::io);
  EXPECT_EQ(outcome.error().message(), "open /nowhere: No such file or directory");
}

TEST(Error, codes_are_kebab_case) {
  EXPECT_EQ(code(ErrorKind::sandbox_not_found), "sandbox-not-found");
  EXPECT_EQ(code(ErrorKind::cancelled), "cancelled");
}

struct Payload : ErrorDetail {
  int number = 7;
};
struct OtherPayload : ErrorDetail {};

TEST(Error, detail_is_found_by_its_type_only) {
  auto error = Error(ErrorKind::exec_failed, "no").hint("try again").detail(std::make_shared<Payload>());
  ASSERT_NE(error.detail_as<Payload>(), nullptr);
  EXPECT_EQ(error.detail_as<Payload>()->number, 7);
  EXPECT_EQ(error.detail_as<OtherPayload>(), nullptr);
  EXPECT_EQ(error.hints(), std::vector<std::string>{"try again"});
}

TEST(Cat, joins_text_characters_and_integers) {
  EXPECT_EQ(cat("a", 'b', 3, -4, std::string("c")), "ab3-4c");
}

}  // namespace
}  // namespace msb
