#include "fs/transfer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "base/temp_dir.h"

namespace msb::fs {
namespace {

constexpr size_t kPage = 4096, kLarge = 16 * kPage;

// The second descriptor is another file here, so that it shows which way the data went.
class TransferTest : public ::testing::Test {
 protected:
  Fd file(const char* name) const {
    return Fd(::open((directory_.path() + "/" + name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  }
  static off_t size_of(const Fd& fd) { return ::lseek(fd.get(), 0, SEEK_END); }
  MutableByteView memory(size_t offset, size_t length) const { return {memory_.get() + offset, length}; }

  TempDir directory_ = TempDir::create().value();
  Handle handle_{.fd = file("cached"), .direct = file("direct")};
  std::unique_ptr<uint8_t, void (*)(void*)> memory_{
      static_cast<uint8_t*>(std::aligned_alloc(kPage, kLarge + 2 * kPage)), &std::free};
  uint64_t done_ = 0;
};

TEST_F(TransferTest, WhatIsLargeAndAlignedGoesPastTheCache) {
  std::memset(memory_.get(), 'x', kLarge);
  ASSERT_EQ(write_data(handle_, {memory(0, kPage), memory(kPage, kLarge - kPage)}, kPage, Place::at_offset, done_), 0);
  EXPECT_EQ(done_, kLarge);
  EXPECT_EQ(size_of(handle_.direct), static_cast<off_t>(kPage + kLarge));
  EXPECT_EQ(size_of(handle_.fd), 0);
  std::memset(memory_.get(), 0, kLarge);
  ASSERT_EQ(read_data(handle_, {memory(0, kLarge)}, kPage, done_), 0);
  EXPECT_EQ(done_, kLarge);
  EXPECT_EQ(memory_.get()[kLarge - 1], 'x');
}

TEST_F(TransferTest, WhatIsSmallOrMisalignedDoesNot) {
  std::memset(memory_.get(), 'x', kLarge + kPage);
  for (const auto& [offset, view] : {std::pair<uint64_t, MutableByteView>{0, memory(0, kPage)},
                                     {512, memory(0, kLarge)},
                                     {0, memory(1, kLarge)},
                                     {0, memory(0, kLarge + 1)}}) {
    ASSERT_EQ(write_data(handle_, {view}, offset, Place::at_offset, done_), 0);
    EXPECT_EQ(done_, view.size());
    EXPECT_EQ(size_of(handle_.fd), static_cast<off_t>(offset + view.size()));
    EXPECT_EQ(size_of(handle_.direct), 0);
    ASSERT_EQ(::ftruncate(handle_.fd.get(), 0), 0);
  }
}

TEST_F(TransferTest, WithoutASecondDescriptorAllGoesThroughTheCache) {
  handle_.direct.reset();
  std::memset(memory_.get(), 'x', kLarge);
  ASSERT_EQ(write_data(handle_, {memory(0, kLarge)}, 0, Place::at_offset, done_), 0);
  ASSERT_EQ(write_data(handle_, {memory(0, kPage)}, 0, Place::at_end, done_), 0);
  EXPECT_EQ(size_of(handle_.fd), static_cast<off_t>(kLarge + kPage));
  ASSERT_EQ(read_data(handle_, {memory(0, 2 * kPage)}, kLarge, done_), 0);
  EXPECT_EQ(done_, kPage);  // and then the file ends
}

}  // namespace
}  // namespace msb::fs
