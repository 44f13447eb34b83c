#include "fs/usage_record.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/temp_dir.h"
#include "fs/quota.h"

namespace msb::fs {
namespace {

constexpr uint64_t kMiB = 1024 * 1024;

class UsageRecordTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(make_dirs(data())); }
  std::string data(const std::string& name = {}) const { return directory_.path() + "/data" + name; }
  std::string record() const { return directory_.path() + "/usage"; }
  void put(const std::string& name, size_t size) {
    ASSERT_TRUE(write_file_atomic(data("/" + name), std::string(size, 'x')));
  }
  std::unique_ptr<Quota> open(uint64_t limit = kMiB) {
    auto file = open_usage_record(record(), data());
    EXPECT_TRUE(file) << file.error().to_string();
    return Quota::of_volume(limit, std::move(*file)).value();
  }

  TempDir directory_ = TempDir::create().value();
};

TEST_F(UsageRecordTest, CountsLengthsNamesAndHardLinksOnce) {
  EXPECT_EQ(count_usage(data()).value(), 0u);
  put("a", 1000);
  ASSERT_EQ(::link(data("/a").c_str(), data("/b").c_str()), 0);
  ASSERT_TRUE(make_dirs(data("/d/e")));
  put("d/e/f", 10);
  ASSERT_EQ(::symlink("/etc", data("/d/link").c_str()), 0);
  EXPECT_EQ(count_usage(data()).value(), 1000 + 10 + 4 + 5 * kInodeWeight);
}

TEST_F(UsageRecordTest, CountsDirectoriesNestedDeeperThanDescriptorsGo) {
  constexpr size_t kDepth = 3000;
  auto at = open_file(data(), O_RDONLY | O_DIRECTORY).value();
  for (size_t i = 0; i < kDepth; ++i) {
    ASSERT_EQ(::mkdirat(at.get(), "d", 0755), 0);
    at = open_at(at.get(), "d", O_RDONLY | O_DIRECTORY).value();
  }
  EXPECT_EQ(count_usage(data()).value(), kDepth * kInodeWeight);
}

TEST_F(UsageRecordTest, ADirectoryThatIsNotThereIsAnError) {
  auto counted = count_usage(data("/none"));
  ASSERT_FALSE(counted);
  EXPECT_EQ(counted.error().errnum(), ENOENT);
}

TEST_F(UsageRecordTest, TheFirstUserCountsWhatIsThere) {
  put("a", 5000);
  EXPECT_EQ(open()->used(), 5000 + kInodeWeight);
}

TEST_F(UsageRecordTest, UsersCountTogether) {
  auto one = open(), two = open();
  {
    Quota::Turn turn(one.get());
    EXPECT_TRUE(turn.fits(kMiB));
    turn.add(kMiB - 100);
  }
  Quota::Turn turn(two.get());
  EXPECT_FALSE(turn.fits(101));
  EXPECT_TRUE(turn.fits(100));
  EXPECT_EQ(two->left(), 100u);
  EXPECT_TRUE(two->is_shared());
}

TEST_F(UsageRecordTest, IsBelievedWhenEveryChangeWasFinished) {
  Quota::Turn(open().get()).add(777);
  // What is really there is not looked at.
  EXPECT_EQ(open()->used(), 777u);
}

TEST_F(UsageRecordTest, FilesWithoutANameGoWithTheirProcess) {
  {
    auto quota = open();
    Quota::Turn turn(quota.get());
    turn.add(1000);
    turn.add_nameless(400);
  }
  EXPECT_EQ(open()->used(), 600u);
}

TEST_F(UsageRecordTest, IsCountedAnewAfterADeathInTheMiddle) {
  Quota::Turn(open().get()).add(777);
  put("a", 100);
  UsageRecord damaged;
  damaged.used = 777;
  damaged.in_turn = 1;
  const auto* bytes = reinterpret_cast<const char*>(&damaged);
  ASSERT_TRUE(write_file_atomic(record(), std::string(bytes, sizeof(damaged))));
  EXPECT_EQ(open()->used(), 100 + kInodeWeight);
}

TEST_F(UsageRecordTest, IsCountedAnewWhenItIsNone) {
  put("a", 100);
  for (const std::string& text : {std::string("short"), std::string(32, 'x')}) {
    ASSERT_TRUE(write_file_atomic(record(), text));
    EXPECT_EQ(open()->used(), 100 + kInodeWeight);
  }
}

TEST_F(UsageRecordTest, ASecondUserDoesNotCountAnew) {
  auto one = open();
  Quota::Turn(one.get()).add(50);
  put("a", 100);
  EXPECT_EQ(open()->used(), 50u);
}

TEST_F(UsageRecordTest, PeopleSeeWhatIsThereOrWhatIsCounted) {
  put("a", 100);
  Usage usage = look_at_usage(record(), data()).value();
  EXPECT_EQ(usage.bytes, 100 + kInodeWeight);
  EXPECT_FALSE(usage.in_use);
  auto user = open();
  Quota::Turn(user.get()).add(1);
  usage = look_at_usage(record(), data()).value();
  EXPECT_EQ(usage.bytes, 101 + kInodeWeight);
  EXPECT_TRUE(usage.in_use);
}

TEST(QuotaTest, GrowthCountsFromZeroAndTakingAwayGivesRoom) {
  auto quota = Quota::of_growth(1000);
  Quota::Turn turn(quota.get());
  EXPECT_TRUE(turn.fits(1000));
  EXPECT_FALSE(turn.fits(1001));
  turn.add(-500);
  EXPECT_TRUE(turn.fits(1500));
  EXPECT_EQ(quota->used(), 0u);
  turn.add(1500);
  EXPECT_EQ(quota->left(), 0u);
  EXPECT_FALSE(turn.fits(1));
  EXPECT_TRUE(turn.fits(0));
}

TEST(QuotaTest, NoSumOverflows) {
  auto quota = Quota::of_growth(UINT64_MAX);
  Quota::Turn turn(quota.get());
  EXPECT_FALSE(turn.fits(UINT64_MAX));
  turn.add(INT64_MAX);
  turn.add(INT64_MAX);
  EXPECT_EQ(quota->used(), uint64_t{INT64_MAX});
  EXPECT_FALSE(turn.fits(1));
}

TEST(QuotaTest, WithoutOneEverythingFits) {
  Quota::Turn turn(nullptr);
  EXPECT_FALSE(turn);
  EXPECT_TRUE(turn.fits(UINT64_MAX));
  turn.add(1);
}

}  // namespace
}  // namespace msb::fs
