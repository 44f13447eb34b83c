#include "qemu/block_stats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace msb::qemu {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

std::string refused(const char* text) {
  auto parsed = parse_block_stats(json::parse(text));
  return parsed ? "" : parsed.error().message();
}

TEST(BlockStats, disks_are_added_up_and_what_else_is_said_is_ignored) {
  auto traffic = parse_block_stats(json::parse(R"([
    {"device": "", "qdev": "/machine/peripheral-anon/device[3]", "node-name": "disk0",
     "stats": {"rd_bytes": 4096, "wr_bytes": 0, "rd_operations": 1}, "parent": {"stats": {"rd_bytes": 99}}},
    {"stats": {"rd_bytes": 512, "wr_bytes": 18446744073709551615}}])"));
  ASSERT_TRUE(traffic);
  EXPECT_EQ(traffic->read_bytes, 4608u);
  EXPECT_EQ(traffic->written_bytes, ~uint64_t{0});
}

TEST(BlockStats, a_machine_without_disks_has_moved_nothing) {
  auto traffic = parse_block_stats(json::array());
  ASSERT_TRUE(traffic);
  EXPECT_EQ(traffic->read_bytes + traffic->written_bytes, 0u);
}

TEST(BlockStats, what_is_not_of_that_form_is_refused) {
  EXPECT_THAT(refused("{}"), HasSubstr("no list"));
  EXPECT_THAT(refused("[1]"), HasSubstr("without stats"));
  EXPECT_THAT(refused(R"([{"stats": []}])"), HasSubstr("without stats"));
  EXPECT_THAT(refused(R"([{"stats": {"rd_bytes": -1, "wr_bytes": 0}}])"), HasSubstr("rd_bytes"));
  EXPECT_THAT(refused(R"([{"stats": {"rd_bytes": 1, "wr_bytes": 1.5}}])"), HasSubstr("wr_bytes"));
  EXPECT_THAT(refused(R"([{"stats": {"rd_bytes": 1}}])"), HasSubstr("wr_bytes"));
}

}  // namespace
}  // namespace msb::qemu
