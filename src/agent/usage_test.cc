#include "agent/usage.h"

#include <gtest/gtest.h>

#include "base/fd.h"
#include "base/temp_dir.h"

namespace msb::agent {
namespace {

wire::GuestMeasured measure(std::string_view meminfo) {
  auto dir = *TempDir::create();
  EXPECT_TRUE(write_file_atomic(dir.path() + "/meminfo", std::string(meminfo)));
  return measure_guest(dir.path() + "/meminfo", dir.path().c_str());
}

TEST(Usage, memory_is_what_the_kernel_says_in_bytes) {
  auto measured = measure("MemTotal:         492000 kB\nMemFree: 1 kB\nMemAvailable:     400001 kB\n");
  EXPECT_EQ(measured.memory_total, 492000u * 1024);
  EXPECT_EQ(measured.memory_available, 400001u * 1024);
}

TEST(Usage, what_cannot_be_read_is_absent) {
  auto measured = measure("MemTotal: lots kB\nMemAvailable: 18446744073709551615 kB\nMemTotal: 5\n");
  EXPECT_EQ(measured.memory_total, std::nullopt);
  EXPECT_EQ(measured.memory_available, std::nullopt);
  measured = measure_guest("/nonexistent/meminfo", "/nonexistent");
  EXPECT_EQ(measured.memory_total, std::nullopt);
  EXPECT_EQ(measured.root_used, std::nullopt);
  EXPECT_EQ(measured.root_free, std::nullopt);
}

TEST(Usage, the_root_is_the_file_system_below_the_path) {
  auto measured = measure("");
  ASSERT_TRUE(measured.root_used && measured.root_free);
  EXPECT_GT(*measured.root_used + *measured.root_free, 0u);
}

}  // namespace
}  // namespace msb::agent
