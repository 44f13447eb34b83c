#include "agent/tree_copy.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/temp_dir.h"

namespace msb::agent {
namespace {

class TreeCopyTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(::mkdir(source_.c_str(), 0751), 0); }
  void file(const std::string& name, std::string_view contents, unsigned mode = 0644) {
    ASSERT_TRUE(write_file_atomic(source_ + name, contents));
    ASSERT_EQ(::chmod((source_ + name).c_str(), mode), 0);
  }
  void copy() {
    auto copied = copy_tree(source_, target_);
    ASSERT_TRUE(copied) << copied.error().to_string();
  }
  struct stat look(const std::string& name) {
    struct stat status{};
    EXPECT_EQ(::lstat((target_ + name).c_str(), &status), 0) << name;
    return status;
  }

  TempDir folder_ = *TempDir::create();
  std::string source_ = folder_.path() + "/source";
  std::string target_ = folder_.path() + "/target";
};

TEST_F(TreeCopyTest, modes_times_links_and_directories_are_kept) {
  ASSERT_TRUE(make_dirs(source_ + "/a/b"));
  ASSERT_EQ(::chmod((source_ + "/a").c_str(), 01777), 0);
  file("/a/b/f", "text", 04750);
  file("/empty", "");
  ASSERT_EQ(::symlink("a/b/f", (source_ + "/link").c_str()), 0);
  ASSERT_EQ(::symlink("nowhere", (source_ + "/dangling").c_str()), 0);
  ASSERT_EQ(::mkfifo((source_ + "/fifo").c_str(), 0600), 0);
  const timespec times[2] = {{1000, 1}, {2000, 5}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (source_ + "/a/b/f").c_str(), times, 0), 0);
  ASSERT_EQ(::utimensat(AT_FDCWD, (source_ + "/a").c_str(), times, 0), 0);
  copy();
  EXPECT_EQ(*read_file(target_ + "/a/b/f"), "text");
  EXPECT_EQ(look("/a/b/f").st_mode, S_IFREG | 04750u);
  EXPECT_EQ(look("/a/b/f").st_mtim.tv_sec, 2000);
  EXPECT_EQ(look("/a/b/f").st_mtim.tv_nsec, 5);
  EXPECT_EQ(look("/a").st_mode, S_IFDIR | 01777u);
  EXPECT_EQ(look("/a").st_mtim.tv_sec, 2000);
  EXPECT_EQ(look("").st_mode, S_IFDIR | 0751u);
  EXPECT_EQ(look("/empty").st_size, 0);
  EXPECT_TRUE(S_ISFIFO(look("/fifo").st_mode));
  EXPECT_TRUE(S_ISLNK(look("/dangling").st_mode));
  EXPECT_EQ(*read_file(target_ + "/link"), "text");
}

TEST_F(TreeCopyTest, names_of_one_file_stay_names_of_one_file) {
  ASSERT_TRUE(make_dirs(source_ + "/deep/er"));
  file("/deep/er/f", "one");
  ASSERT_EQ(::link((source_ + "/deep/er/f").c_str(), (source_ + "/g").c_str()), 0);
  ASSERT_EQ(::link((source_ + "/deep/er/f").c_str(), (source_ + "/deep/h").c_str()), 0);
  copy();
  EXPECT_EQ(look("/g").st_ino, look("/deep/er/f").st_ino);
  EXPECT_EQ(look("/deep/h").st_ino, look("/g").st_ino);
  EXPECT_EQ(look("/g").st_nlink, 3u);
  EXPECT_EQ(*read_file(target_ + "/g"), "one");
}

TEST_F(TreeCopyTest, holes_stay_holes) {
  file("/sparse", "");
  Fd file = *open_file(source_ + "/sparse", O_WRONLY);
  ASSERT_TRUE(pwrite_full(file.get(), as_bytes("middle"), 8 << 20));
  ASSERT_EQ(::ftruncate(file.get(), 16 << 20), 0);
  copy();
  EXPECT_EQ(look("/sparse").st_size, 16 << 20);
  EXPECT_LE(look("/sparse").st_blocks, 128);
  std::string contents = *read_file(target_ + "/sparse");
  EXPECT_EQ(contents.substr(8 << 20, 6), "middle");
  EXPECT_EQ(contents.find_first_not_of('\0'), size_t{8} << 20);
}

TEST_F(TreeCopyTest, attributes_are_kept) {
  file("/f", "x");
  if (::setxattr((source_ + "/f").c_str(), "user.mark", "v", 1, 0) < 0) GTEST_SKIP() << "no attributes here";
  copy();
  char value[8];
  ASSERT_EQ(::getxattr((target_ + "/f").c_str(), "user.mark", value, sizeof(value)), 1);
  EXPECT_EQ(value[0], 'v');
}

TEST_F(TreeCopyTest, a_target_that_is_there_is_refused) {
  ASSERT_EQ(::mkdir(target_.c_str(), 0755), 0);
  EXPECT_EQ(copy_tree(source_, target_).error().errnum(), EEXIST);
}

TEST_F(TreeCopyTest, what_is_left_of_a_copy_can_be_removed) {
  ASSERT_TRUE(make_dirs(source_ + "/a/b/c"));
  file("/a/b/f", "x");
  ASSERT_EQ(::symlink("/etc", (source_ + "/a/link").c_str()), 0);
  copy();
  ASSERT_TRUE(remove_tree(target_));
  EXPECT_FALSE(path_exists(target_));
  EXPECT_TRUE(path_exists("/etc"));
  EXPECT_TRUE(remove_tree(target_));
}

}  // namespace
}  // namespace msb::agent
