#include "qemu/image_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "base/fd.h"
#include "base/temp_dir.h"

namespace msb::qemu {
namespace {

TEST(ImageLock, IsWaitedForAndNotKept) {
  const auto dir = TempDir::create().value();
  const std::string path = dir.path() + "/disk";
  ASSERT_TRUE(write_file_atomic(path, ""));
  EXPECT_TRUE(wait_for_release(path));
  EXPECT_TRUE(wait_for_release(path));

  Fd other = open_file(path, O_RDWR).value();
  struct flock byte{};  // as QEMU has it
  byte.l_type = F_RDLCK;
  byte.l_whence = SEEK_SET;
  byte.l_start = 101;
  byte.l_len = 1;
  ASSERT_EQ(::fcntl(other.get(), F_OFD_SETLK, &byte), 0);
  std::atomic<bool> released = false;
  std::promise<void> begun;
  ::testing::internal::CaptureStderr();
  std::thread waiting([&] {
    begun.set_value();
    EXPECT_TRUE(wait_for_release(path));
    EXPECT_TRUE(released);
  });
  begun.get_future().wait();
  std::this_thread::yield();
  released = true;
  other.reset();
  waiting.join();
  ::testing::internal::GetCapturedStderr();
}

TEST(ImageLock, OfWhatIsNotThereIsAnError) {
  EXPECT_FALSE(wait_for_release("/nowhere/disk"));
}

}  // namespace
}  // namespace msb::qemu
