#include "base/units.h"

#include <gtest/gtest.h>

namespace msb {
namespace {

using std::chrono::milliseconds;

TEST(Units, sizes_default_to_mib) {
  EXPECT_EQ(parse_mib("512").value(), 512u);
  EXPECT_EQ(parse_mib("512M").value(), 512u);
  EXPECT_EQ(parse_mib("512MiB").value(), 512u);
  EXPECT_EQ(parse_mib("1.5g").value(), 1536u);
  EXPECT_EQ(parse_mib("8GiB").value(), 8192u);
  EXPECT_EQ(parse_mib("1T").value(), 1048576u);
}

TEST(Units, senseless_sizes_are_refused) {
  for (const char* text : {"", "0", "0.5M", "-1", "1K", "G", "1.3M", "nan", "inf", "99999999999G", "1 G", "0x10"})
    EXPECT_FALSE(parse_mib(text)) << text;
}

TEST(Units, durations_default_to_seconds) {
  EXPECT_EQ(parse_duration("90").value(), milliseconds(90'000));
  EXPECT_EQ(parse_duration("250ms").value(), milliseconds(250));
  EXPECT_EQ(parse_duration("5m").value(), milliseconds(300'000));
  EXPECT_EQ(parse_duration("1.5h").value(), milliseconds(5'400'000));
  EXPECT_EQ(parse_duration("1d").value(), milliseconds(86'400'000));
}

TEST(Units, senseless_durations_are_refused) {
  for (const char* text : {"", "s", "-5s", "5 s", "5y", "1e30d", "nan"}) EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(Units, integers_keep_to_their_bounds) {
  EXPECT_EQ(parse_integer("7", 1, 8, "cpus").value(), 7u);
  for (const char* text : {"", "0", "9", "7x", "+7", "-1", "99999999999999999999"}) {
    auto outcome = parse_integer(text, 1, 8, "cpus");
    ASSERT_FALSE(outcome) << text;
    EXPECT_NE(outcome.error().message().find("cpus"), std::string::npos);
  }
}

TEST(Units, sizes_and_durations_read_well) {
  EXPECT_EQ(format_size(0), "0 B");
  EXPECT_EQ(format_size(1023), "1023 B");
  EXPECT_EQ(format_size(4 * kKiB), "4.0 KiB");
  EXPECT_EQ(format_size(512 * kMiB), "512 MiB");
  EXPECT_EQ(format_duration(milliseconds(340)), "340ms");
  EXPECT_EQ(format_duration(milliseconds(2500)), "2.5s");
  EXPECT_EQ(format_duration(milliseconds(192'000)), "3m12s");
  EXPECT_EQ(format_duration(milliseconds(7'260'000)), "2h01m");
}

TEST(ParseBytesTest, UnitsAreBinaryAndAPlainNumberIsBytes) {
  EXPECT_EQ(parse_bytes("1500"), 1500U);
  EXPECT_EQ(parse_bytes("64K"), 65536U);
  EXPECT_EQ(parse_bytes("10MiB"), 10U << 20);
  EXPECT_EQ(parse_bytes("1.5gb"), uint64_t{3} << 29);
  for (const char* text : {"", "0", "-1", "1.5", "10X", "10i", "M", "1e3000", "99999999T"})
    EXPECT_FALSE(parse_bytes(text)) << text;
}

}  // namespace
}  // namespace msb
