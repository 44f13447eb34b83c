#include "disk/raw_disk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/temp_dir.h"
#include "disk/concat_disk.h"
#include "disk/direct_io.h"

namespace msb::disk {
namespace {

using testing::HasSubstr;

class RawDiskTest : public testing::Test {
 protected:
  std::unique_ptr<RawDisk> make(std::string_view contents, Access access = Access::read_write) {
    EXPECT_TRUE(write_file_atomic(path_, contents));
    auto disk = RawDisk::open(path_, access);
    EXPECT_TRUE(disk);
    return disk ? std::move(*disk) : nullptr;
  }
  std::string contents() { return read_file(path_).value(); }

  TempDir dir_ = TempDir::create().value();
  std::string path_ = dir_.path() + "/disk";
};

TEST_F(RawDiskTest, only_files_and_block_devices_are_disks) {
  std::string fifo = dir_.path() + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(RawDisk::open(fifo).error().kind(), ErrorKind::invalid_config);
  EXPECT_EQ(RawDisk::open(dir_.path()).error().kind(), ErrorKind::invalid_config);
  EXPECT_EQ(RawDisk::open("/dev/null").error().kind(), ErrorKind::invalid_config);
  EXPECT_EQ(RawDisk::open(dir_.path() + "/missing").error().errnum(), ENOENT);
}

TEST_F(RawDiskTest, reads_stay_inside) {
  ASSERT_TRUE(write_file_atomic(dir_.path() + "/disk", "0123456789"));
  auto disk = RawDisk::open(dir_.path() + "/disk");
  ASSERT_TRUE(disk);
  Bytes three(3);
  ASSERT_TRUE((*disk)->read(7, three));
  EXPECT_EQ(as_text(three), "789");
  EXPECT_EQ((*disk)->read(8, three).error().kind(), ErrorKind::invalid_config);
}

TEST_F(RawDiskTest, pieces_are_read_and_written_in_order) {
  auto disk = make("0123456789");
  char one[] = "ab", two[] = "", three[] = "cde";
  iovec pieces[] = {{one, 2}, {two, 0}, {three, 3}};
  ASSERT_TRUE(disk->writev(1, pieces));
  EXPECT_EQ(contents(), "0abcde6789");
  ASSERT_TRUE(disk->readv(4, pieces));
  EXPECT_EQ(std::string(one) + three, "de678");
  EXPECT_TRUE(disk->flush());
}

TEST_F(RawDiskTest, more_pieces_than_the_kernel_takes_at_once) {
  std::string bytes(5000, 'x');
  auto disk = make(std::string(5000, '.'));
  std::vector<iovec> pieces;
  for (char& byte : bytes) pieces.push_back({&byte, 1});
  ASSERT_TRUE(disk->writev(0, pieces));
  EXPECT_EQ(contents(), std::string(5000, 'x'));
  std::fill(bytes.begin(), bytes.end(), '?');
  ASSERT_TRUE(disk->readv(0, pieces));
  EXPECT_EQ(bytes, std::string(5000, 'x'));
}

TEST_F(RawDiskTest, a_file_that_shrank_gives_an_error) {
  auto disk = make(std::string(8192, 'x'));
  ASSERT_EQ(::truncate(path_.c_str(), 5000), 0);
  Bytes bytes(4096);
  EXPECT_TRUE(disk->read(0, bytes));
  auto read = disk->read(4096, bytes);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), ErrorKind::io);
  EXPECT_THAT(read.error().to_string(), HasSubstr("the file ends at 5000"));
  iovec piece{bytes.data(), bytes.size()};
  EXPECT_FALSE(disk->read_now(4096, {&piece, 1}));
}

TEST_F(RawDiskTest, discarded_space_is_given_back) {
  auto disk = make(std::string(1 << 20, 'x'));
  ASSERT_TRUE(disk->flush());
  struct stat before, after;
  ASSERT_EQ(::stat(path_.c_str(), &before), 0);
  ASSERT_TRUE(disk->discard(4096, (1 << 20) - 8192));
  ASSERT_EQ(::stat(path_.c_str(), &after), 0);
  EXPECT_EQ(after.st_size, 1 << 20);
  EXPECT_LT(after.st_blocks, before.st_blocks / 2);
  Bytes bytes(4096);
  ASSERT_TRUE(disk->read(0, bytes));
  EXPECT_EQ(bytes, Bytes(4096, 'x'));
}

TEST_F(RawDiskTest, zeros_are_written_exactly) {
  for (Unmap unmap : {Unmap::no, Unmap::yes}) {
    auto disk = make(std::string(30000, 'x'));
    ASSERT_TRUE(disk->write_zeroes(1000, 20000, unmap));
    EXPECT_EQ(contents(), std::string(1000, 'x') + std::string(20000, 0) + std::string(9000, 'x'));
  }
}

TEST_F(RawDiskTest, zeros_where_the_file_system_has_no_call_for_it_are_written) {
  auto disk = make(std::string(3 << 20, 'x'));
  ASSERT_TRUE(disk->BlockDevice::write_zeroes(1000, 2 << 20, Unmap::no));
  std::string expected(3 << 20, 'x');
  std::fill_n(expected.begin() + 1000, 2 << 20, '\0');
  EXPECT_TRUE(contents() == expected);
}

TEST_F(RawDiskTest, a_disk_opened_for_reading_refuses_writes) {
  auto disk = make("0123456789", Access::read_only);
  EXPECT_TRUE(disk->read_only());
  EXPECT_EQ(disk->write(0, as_bytes("x")).error().kind(), ErrorKind::invalid_config);
  EXPECT_EQ(disk->discard(0, 1).error().kind(), ErrorKind::invalid_config);
  EXPECT_EQ(disk->write_zeroes(0, 1, Unmap::no).error().kind(), ErrorKind::invalid_config);
  EXPECT_EQ(disk->grow(100).error().kind(), ErrorKind::invalid_config);
  EXPECT_TRUE(disk->flush());
  EXPECT_EQ(contents(), "0123456789");
}

TEST_F(RawDiskTest, a_file_open_for_reading_is_no_disk_to_be_written) {
  make("0123456789");
  EXPECT_EQ(RawDisk::adopt(open_file(path_).value(), {.access = Access::read_write}).error().kind(),
            ErrorKind::invalid_config);
}

TEST_F(RawDiskTest, writes_past_the_end_are_refused_and_growing_makes_room) {
  auto disk = make("0123456789");
  EXPECT_EQ(disk->write(9, as_bytes("xy")).error().kind(), ErrorKind::invalid_config);
  EXPECT_EQ(disk->discard(~uint64_t{0}, 2).error().kind(), ErrorKind::invalid_config);
  ASSERT_TRUE(disk->grow(12));
  ASSERT_TRUE(disk->write(9, as_bytes("xy")));
  EXPECT_EQ(contents(), std::string("012345678xy\0", 12));
}

std::unique_ptr<BlockDevice> part(size_t sectors, uint8_t byte) {
  return std::make_unique<MemoryDisk>(Bytes(sectors * 512, byte));
}

TEST(ConcatDiskTest, parts_follow_each_other) {
  std::vector<std::unique_ptr<BlockDevice>> parts;
  parts.push_back(part(1, 'a'));
  parts.push_back(part(0, '?'));
  parts.push_back(part(2, 'b'));
  parts.push_back(part(1, 'c'));
  auto disk = ConcatDisk::create(std::move(parts));
  ASSERT_TRUE(disk);
  EXPECT_EQ((*disk)->size(), 2048u);
  EXPECT_TRUE((*disk)->read_only());
  Bytes all(2048);
  ASSERT_TRUE((*disk)->read(0, all));
  EXPECT_EQ(as_text(all), std::string(512, 'a') + std::string(1024, 'b') + std::string(512, 'c'));
  Bytes some(1026);
  ASSERT_TRUE((*disk)->read(511, some));
  EXPECT_EQ(as_text(some), "a" + std::string(1024, 'b') + "c");
  EXPECT_EQ((*disk)->read(2047, some).error().kind(), ErrorKind::invalid_config);
  EXPECT_EQ((*disk)->write(0, some).error().kind(), ErrorKind::invalid_config);
}

TEST(ConcatDiskTest, a_part_of_no_whole_sectors_is_refused) {
  std::vector<std::unique_ptr<BlockDevice>> parts;
  EXPECT_EQ(ConcatDisk::create(std::move(parts)).error().kind(), ErrorKind::invalid_config);
  parts.clear();
  parts.push_back(std::make_unique<MemoryDisk>(Bytes(513)));
  EXPECT_EQ(ConcatDisk::create(std::move(parts)).error().kind(), ErrorKind::invalid_config);
}

class DirectWriteTest : public RawDiskTest {
 protected:
  static constexpr size_t kLong = 128 << 10;
  struct alignas(4096) Memory {
    uint8_t bytes[kLong];
  };
  void SetUp() override { ASSERT_TRUE(write_file_atomic(path_, std::string(2 * kLong, '.'))); }
  std::unique_ptr<RawDisk> disk_with(Fd direct) {
    auto disk =
        RawDisk::adopt(open_file(path_, O_RDWR).value(), {.access = Access::read_write, .direct = std::move(direct)});
    EXPECT_TRUE(disk);
    return disk ? std::move(*disk) : nullptr;
  }
  ByteView memory(size_t skip = 0, size_t length = kLong) { return {memory_->bytes + skip, length}; }

  std::unique_ptr<Memory> memory_ = [] {
    auto memory = std::make_unique<Memory>();
    std::memset(memory->bytes, 'x', kLong);
    return memory;
  }();
};

TEST_F(DirectWriteTest, only_long_and_aligned_writes_take_the_direct_way) {
  std::string other = dir_.path() + "/other";
  ASSERT_TRUE(write_file_atomic(other, ""));
  auto disk = disk_with(open_file(other, O_WRONLY).value());
  EXPECT_TRUE(disk->write(512, memory()));                    // where it goes
  EXPECT_TRUE(disk->write(0, memory(0, kLong - 4096)));       // short
  EXPECT_TRUE(disk->write(kLong, memory(16, kLong - 4096)));  // where it comes from
  EXPECT_EQ(read_file(other).value(), "");
  EXPECT_TRUE(disk->write(kLong, memory()));
  EXPECT_EQ(read_file(other).value().size(), 2 * kLong);
}

TEST_F(DirectWriteTest, both_ways_lead_to_one_file) {
  auto disk = disk_with(open_direct(open_file(path_, O_RDWR).value().get()));
  Bytes read(2 * kLong);
  ASSERT_TRUE(disk->read(0, read));  // now it is in the cache
  ASSERT_TRUE(disk->write(0, as_bytes("short")));
  ASSERT_TRUE(disk->write(4096, as_bytes("short")));
  ASSERT_TRUE(disk->write(kLong, memory()));
  ASSERT_TRUE(disk->write(0, memory()));
  ASSERT_TRUE(disk->write(4096, as_bytes("short")));
  ASSERT_TRUE(disk->flush());
  ASSERT_TRUE(disk->read(0, read));
  std::string expected(2 * kLong, 'x');
  expected.replace(4096, 5, "short");
  EXPECT_TRUE(as_text(read) == expected);
  EXPECT_TRUE(contents() == expected);
}

TEST_F(DirectWriteTest, a_file_system_with_other_rules_gets_all_through_the_cache) {
  // Refuses with EINVAL what is not a number, as a file system does that wants a larger alignment.
  auto disk = disk_with(open_file("/proc/self/oom_score_adj", O_WRONLY).value());
  EXPECT_TRUE(disk->write(0, memory()));
  EXPECT_EQ(contents(), std::string(kLong, 'x') + std::string(kLong, '.'));
}

TEST_F(DirectWriteTest, errors_of_the_direct_way_are_the_disks) {
  auto disk = disk_with(open_file("/dev/full", O_WRONLY).value());
  EXPECT_EQ(disk->write(0, memory()).error().errnum(), ENOSPC);
  EXPECT_EQ(contents(), std::string(2 * kLong, '.'));
}

}  // namespace
}  // namespace msb::disk
