#include "disk/ext4_size.h"

#include <gmock/gmock.h>

#include "base/child.h"
#include "base/temp_dir.h"
#include "disk/raw_disk.h"

namespace msb::disk {
namespace {

// An ext4 file system of 8 MiB, as bytes.
Bytes make_ext4(const std::string& feature) {
  TempDir dir = *TempDir::create();
  std::string path = dir.path() + "/disk";
  auto made = run_capture({"/sbin/mke2fs", "-q", "-t", "ext4", "-O", feature, path, "8M"});
  EXPECT_TRUE(made) << made.error().to_string();
  return to_bytes(read_file(path).value());
}

class Ext4SizeTest : public testing::TestWithParam<const char*> {
 protected:
  Result<> check() {
    MemoryDisk disk(bytes_);
    return check_ext4_size(disk);
  }
  Bytes bytes_ = make_ext4(GetParam());
};
INSTANTIATE_TEST_SUITE_P(Numbers, Ext4SizeTest, testing::Values("64bit", "^64bit"),
                         [](const auto& test) { return test.param[0] == '^' ? "of_32_bits" : "of_64_bits"; });

TEST_P(Ext4SizeTest, a_whole_disk_and_a_larger_one_are_taken) {
  EXPECT_TRUE(check());
  bytes_.resize(bytes_.size() + 512);
  EXPECT_TRUE(check());
}

TEST_P(Ext4SizeTest, a_disk_that_was_cut_short_is_refused) {
  bytes_.resize(bytes_.size() - 512);
  EXPECT_EQ(check().error().kind(), ErrorKind::corrupt);
  bytes_.resize(2048);
  EXPECT_THAT(check().error().to_string(), testing::HasSubstr("2048 bytes"));
}

TEST_P(Ext4SizeTest, what_is_no_ext4_is_taken) {
  bytes_[1024 + 0x38] = 0;
  bytes_.resize(4096);
  EXPECT_TRUE(check());
  bytes_.resize(100);
  EXPECT_TRUE(check());
}

TEST_P(Ext4SizeTest, numbers_that_cannot_be_are_left_to_the_guest) {
  store_le<uint32_t>(&bytes_[1024 + 0x18], 200);
  EXPECT_TRUE(check());
}

}  // namespace
}  // namespace msb::disk
