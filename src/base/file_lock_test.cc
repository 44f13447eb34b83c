#include "base/file_lock.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/temp_dir.h"

namespace msb {
namespace {

struct FileLockTest : ::testing::Test {
  TempDir dir = TempDir::create().value();
  std::string path = dir.path() + "/lock";
};

TEST_F(FileLockTest, exclusive_excludes_everybody) {
  auto held = FileLock::acquire(path, LockMode::exclusive).value();
  EXPECT_FALSE(FileLock::try_acquire(path, LockMode::exclusive).value());
  EXPECT_FALSE(FileLock::try_acquire(path, LockMode::shared).value());
}

TEST_F(FileLockTest, shared_locks_share) {
  auto held = FileLock::acquire(path, LockMode::shared).value();
  EXPECT_TRUE(FileLock::try_acquire(path, LockMode::shared).value());
  EXPECT_FALSE(FileLock::try_acquire(path, LockMode::exclusive).value());
}

TEST_F(FileLockTest, ends_with_the_object) {
  {
    auto held = FileLock::acquire(path, LockMode::exclusive).value();
  }
  EXPECT_TRUE(FileLock::try_acquire(path, LockMode::exclusive).value());
}

TEST_F(FileLockTest, a_removed_lock_file_is_made_anew) {
  auto held = FileLock::acquire(path, LockMode::exclusive).value();
  ASSERT_EQ(::unlink(path.c_str()), 0);
  // The old holder holds a file that has no name any more: the name is free.
  EXPECT_TRUE(FileLock::try_acquire(path, LockMode::exclusive).value());
}

TEST_F(FileLockTest, an_impossible_path_is_an_error) {
  EXPECT_FALSE(FileLock::acquire(dir.path() + "/no/lock", LockMode::shared));
}

}  // namespace
}  // namespace msb
