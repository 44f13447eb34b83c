#include "disk/ext4_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/child.h"
#include "base/fd.h"
#include "base/temp_dir.h"
#include "disk/sparse_copy.h"

namespace msb::disk {
namespace {

using testing::Each;
using testing::HasSubstr;

struct stat stat_of(const std::string& path) {
  struct stat info{};
  EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
  return info;
}

class Ext4TemplateTest : public testing::Test {
 protected:
  TempDir dir_ = TempDir::create().value();
  std::string templates_ = dir_.path() + "/cache/ext4";
  std::string upper_ = dir_.path() + "/upper.ext4";
};

TEST_F(Ext4TemplateTest, a_new_disk_is_a_clean_file_system_of_the_asked_size) {
  ASSERT_TRUE(make_upper_disk(upper_, 256, templates_));
  EXPECT_EQ(stat_of(upper_).st_size, 256 << 20);
  auto checked = run_capture({"/sbin/e2fsck", "-fn", upper_});
  EXPECT_TRUE(checked) << checked.error().to_string();
}

TEST_F(Ext4TemplateTest, a_big_disk_takes_little_space) {
  ASSERT_TRUE(make_upper_disk(upper_, 8192, templates_));
  EXPECT_EQ(stat_of(upper_).st_size, off_t{8} << 30);
  EXPECT_LT(stat_of(upper_).st_blocks * 512, 1 << 20);
}

TEST_F(Ext4TemplateTest, the_second_disk_equals_the_first_and_shares_nothing) {
  std::string second = dir_.path() + "/second.ext4";
  ASSERT_TRUE(make_upper_disk(upper_, 16, templates_));
  ASSERT_TRUE(make_upper_disk(second, 16, templates_));
  EXPECT_EQ(read_file(upper_, 17 << 20).value(), read_file(second, 17 << 20).value());
  Fd fd = open_file(upper_, O_RDWR).value();
  ASSERT_TRUE(pwrite_full(fd.get(), as_bytes("guest data"), 1 << 20));
  EXPECT_NE(read_file(upper_, 17 << 20).value(), read_file(second, 17 << 20).value());
}

TEST_F(Ext4TemplateTest, many_at_once_make_one_template) {
  std::vector<std::thread> threads;
  std::vector<int> worked(8);
  for (size_t i = 0; i < worked.size(); ++i)
    threads.emplace_back([&, i] { worked[i] = make_upper_disk(cat(upper_, i), 32, templates_).has_value(); });
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(worked, Each(1));
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(templates_))
    files += entry.path() != templates_ + "/lock";
  EXPECT_EQ(files, 1u);
}

TEST_F(Ext4TemplateTest, an_impossible_size_is_refused) {
  EXPECT_EQ(make_upper_disk(upper_, 1, templates_).error().kind(), ErrorKind::invalid_config);
  EXPECT_EQ(make_upper_disk(upper_, kMaxUpperMib + 1, templates_).error().kind(), ErrorKind::invalid_config);
}

TEST_F(Ext4TemplateTest, a_folder_that_cannot_be_written_names_itself) {
  auto made = make_upper_disk(upper_, 64, "/proc/no-such-folder");
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().to_string(), HasSubstr("/proc/no-such-folder"));
  EXPECT_FALSE(path_exists(upper_));
}

TEST(SparseCopyTest, holes_stay_holes_and_data_stays_data) {
  TempDir dir = TempDir::create().value();
  Fd source = open_file(dir.path() + "/source", O_RDWR | O_CREAT).value();
  ASSERT_EQ(::ftruncate(source.get(), off_t{1} << 32), 0);
  ASSERT_TRUE(pwrite_full(source.get(), as_bytes("start"), 0));
  ASSERT_TRUE(pwrite_full(source.get(), as_bytes("middle"), (uint64_t{1} << 31) + 123));
  Fd target = open_file(dir.path() + "/target", O_RDWR | O_CREAT).value();
  ASSERT_TRUE(copy_sparse(source.get(), target.get()));
  Bytes middle(6);
  ASSERT_TRUE(pread_full(target.get(), middle, (uint64_t{1} << 31) + 123));
  EXPECT_EQ(as_text(middle), "middle");
  EXPECT_EQ(stat_of(dir.path() + "/target").st_size, off_t{1} << 32);
  EXPECT_LT(stat_of(dir.path() + "/target").st_blocks * 512, 1 << 20);
}

}  // namespace
}  // namespace msb::disk
