// What a guest that prints without end can make the host write.
#include "vmm/console.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/temp_dir.h"
#include "state/log_reader.h"

namespace msb::vmm {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

uint64_t bytes_in(const std::string& directory) {
  uint64_t sum = 0;
  for (const auto& name : names_in(directory)) {
    struct stat status{};
    if (::stat(cat(directory, "/", name).c_str(), &status) == 0) sum += static_cast<uint64_t>(status.st_size);
  }
  return sum;
}

struct ConsoleTest : ::testing::Test {
  void open(state::LogLimits limits = {}) {
    auto log = state::LogWriter::open(path, limits);
    ASSERT_TRUE(log);
    auto made = Console::create(*reactor, guest->second.get(), std::move(*log));
    ASSERT_TRUE(made);
    console = std::move(*made);
  }
  void print(std::string_view text) { console->feed(as_bytes(text)); }

  TempDir directory = *TempDir::create();
  std::string path = directory.path() + "/kernel.log";
  std::unique_ptr<Reactor> reactor = *Reactor::create();
  Result<SocketPair> guest = make_socket_pair();
  std::unique_ptr<Console> console;
};

TEST_F(ConsoleTest, AFloodNeverGrowsBeyondTheFilesOfTheLog) {
  open({.file_bytes = 64 << 10, .old_files = 2});
  // Each byte becomes six in the file.
  std::string line = std::string(1000, '\x01') + "\n";
  for (int i = 0; i < 3000; ++i) print(line);
  EXPECT_LE(bytes_in(directory.path()), 3u * (64 << 10));
  EXPECT_GT(bytes_in(directory.path()), 64u << 10);
}

TEST_F(ConsoleTest, ALineWithoutEndIsCutAndKeptInMemoryOnce) {
  open();
  for (int i = 0; i < 1000; ++i) print(std::string(10000, 'x'));
  EXPECT_EQ(console->last_lines().back().size(), Console::kLongestLine);
  print("\n");
  EXPECT_LT(bytes_in(directory.path()), 2 * Console::kLongestLine);
}

TEST_F(ConsoleTest, OnlyTheLastLinesAreKept) {
  open();
  for (int i = 0; i < 1000; ++i) print(cat("line ", i, "\n"));
  EXPECT_EQ(console->last_lines().size(), Console::kKeptLines);
  EXPECT_EQ(console->last_lines().back(), "line 999");
}

TEST(LogBudget, ABurstAndThenSoMuchASecond) {
  LogBudget budget;
  auto now = LogBudget::Clock::now();
  EXPECT_TRUE(budget.take(LogBudget::kBurst, now));
  EXPECT_FALSE(budget.take(1000, now));
  EXPECT_FALSE(budget.take(LogBudget::kBytesPerSecond, now + 500ms));
  EXPECT_TRUE(budget.take(LogBudget::kBytesPerSecond / 2, now + 500ms));
  EXPECT_EQ(budget.take_refused(), 1000 + LogBudget::kBytesPerSecond);
  EXPECT_EQ(budget.take_refused(), 0u);
  EXPECT_FALSE(budget.take(LogBudget::kBurst + 1, now + 1h)) << "what was not used does not add up";
}

}  // namespace
}  // namespace msb::vmm
