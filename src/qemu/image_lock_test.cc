#include "qemu/image_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "base/fd.h"
#include "base/temp_dir.h"

namespace msb::qemu {
namespace {

const auto kNobodyWaits = [] { ADD_FAILURE() << "nobody has it"; };

TEST(ImageLock, IsWaitedForAndNotKept) {
  const auto dir = TempDir::create().value();
  const std::string path = dir.path() + "/disk";
  ASSERT_TRUE(write_file_atomic(path, ""));
  EXPECT_TRUE(wait_for_release(path, kNobodyWaits));
  EXPECT_TRUE(wait_for_release(path, kNobodyWaits));

  Fd other = open_file(path, O_RDWR).value();
  struct flock byte{};  // as QEMU has it
  byte.l_type = F_RDLCK;
  byte.l_whence = SEEK_SET;
  byte.l_start = 101;
  byte.l_len = 1;
  ASSERT_EQ(::fcntl(other.get(), F_OFD_SETLK, &byte), 0);
  EXPECT_TRUE(wait_for_release(path, [&] { other.reset(); }));
  EXPECT_FALSE(other) << "it did not wait";
}

TEST(ImageLock, OfWhatIsNotThereIsAnError) {
  EXPECT_FALSE(wait_for_release("/nowhere/disk", kNobodyWaits));
}

}  // namespace
}  // namespace msb::qemu
