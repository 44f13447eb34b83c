#include "base/atomic_file.h"

#include <gtest/gtest.h>

#include "base/fd.h"
#include "base/temp_dir.h"

namespace msb {
namespace {

TEST(AtomicFile, the_old_file_stays_when_the_new_one_fails) {
  const auto dir = *TempDir::create();
  const std::string path = dir.path() + "/file";
  auto pieces = [](int fd) -> Result<> {
    MSB_CHECK(write_full(fd, as_bytes("one ")));
    return write_full(fd, as_bytes("two"));
  };
  ASSERT_TRUE(write_file_then_rename(path, 0600, Sync::yes, pieces));
  EXPECT_EQ(read_file(path).value(), "one two");
  auto fails = [](int fd) -> Result<> {
    MSB_CHECK(write_full(fd, as_bytes("half")));
    return fail(ErrorKind::io, "enough");
  };
  EXPECT_FALSE(write_file_then_rename(path, 0600, Sync::yes, fails));
  EXPECT_EQ(read_file(path).value(), "one two");
  EXPECT_EQ(names_in(dir.path()), std::vector<std::string>{"file"});
  EXPECT_FALSE(write_file_then_rename(dir.path() + "/no/such/file", 0600, Sync::no, pieces));
}

}  // namespace
}  // namespace msb
