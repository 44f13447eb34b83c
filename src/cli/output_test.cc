#include "cli/output.h"

#include <gtest/gtest.h>

namespace msb::cli {
namespace {

TEST(Table, columns_are_as_wide_as_their_widest_cell) {
  Table table({"NAME", "STATUS"});
  table.row({"a-long-name", "running"});
  table.row({"b", "stopped"});
  EXPECT_EQ(table.to_string(),
            "NAME         STATUS\n"
            "a-long-name  running\n"
            "b            stopped\n");
}

TEST(Printable, control_characters_cannot_reach_the_terminal) {
  EXPECT_EQ(printable("a\x1b[31mb\n"), "a?[31mb?");
}

TEST(Printable, long_text_is_cut_with_dots) {
  EXPECT_EQ(printable("abcdefghij", 6), "abc...");
}

TEST(Rfc3339, milliseconds_are_kept) {
  EXPECT_EQ(rfc3339(1'700'000'000'123), "2023-11-14T22:13:20.123Z");
}

TEST(ParseFormat, unknown_format_is_refused) {
  EXPECT_FALSE(parse_format("yaml"));
}

}  // namespace
}  // namespace msb::cli
