#include "base/fd.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/temp_dir.h"

namespace msb {
namespace {

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

TEST(Fd, closes_at_the_end_of_its_scope_and_after_a_move) {
  int number = -1;
  {
    auto pipe = make_pipe().value();
    number = pipe.read.get();
    Fd moved = std::move(pipe.read);
    EXPECT_FALSE(pipe.read);
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(Fd, everything_is_close_on_exec) {
  auto pipe = make_pipe().value();
  auto pair = make_socket_pair().value();
  auto copy = pipe.read.duplicate().value();
  for (int fd : {pipe.read.get(), pipe.write.get(), pair.first.get(), pair.second.get(), copy.get()})
    EXPECT_EQ(::fcntl(fd, F_GETFD), FD_CLOEXEC);
  ASSERT_TRUE(set_cloexec(copy.get(), false));
  EXPECT_EQ(::fcntl(copy.get(), F_GETFD), 0);
}

TEST(Fd, open_file_names_the_path_in_its_error) {
  auto missing = open_file("/nowhere/at/all");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().errnum(), ENOENT);
  EXPECT_NE(missing.error().message().find("/nowhere/at/all"), std::string::npos);
}

TEST(Fd, open_at_refuses_to_leave_its_directory) {
  auto dir = TempDir::create().value();
  auto handle = open_file(dir.path(), O_RDONLY | O_DIRECTORY).value();
  for (const char* name : {"", ".", "..", "../x", "a/b", "/etc/passwd"})
    EXPECT_FALSE(open_at(handle.get(), name, O_RDONLY)) << name;
  ASSERT_EQ(::symlink("/etc/passwd", (dir.path() + "/link").c_str()), 0);
  EXPECT_FALSE(open_at(handle.get(), "link", O_RDONLY));
  EXPECT_TRUE(open_at(handle.get(), "file", O_WRONLY | O_CREAT));
}

TEST(Fd, would_block_is_an_error_with_eagain) {
  auto pipe = make_pipe().value();
  ASSERT_TRUE(set_blocking(pipe.read.get(), Blocking::no));
  uint8_t byte;
  auto outcome = read_some(pipe.read.get(), {&byte, 1});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().errnum(), EAGAIN);
}

TEST(Fd, read_full_stops_at_the_end) {
  auto pipe = make_pipe().value();
  ASSERT_TRUE(write_full(pipe.write.get(), as_bytes("abc")));
  pipe.write.reset();
  Bytes buffer(10);
  EXPECT_EQ(read_full(pipe.read.get(), buffer).value(), 3u);
}

TEST(Fd, positioned_reads_and_writes_meet_and_report_a_short_file) {
  auto dir = TempDir::create().value();
  auto file = open_file(dir.path() + "/f", O_RDWR | O_CREAT).value();
  ASSERT_TRUE(pwrite_full(file.get(), as_bytes("hello"), 100));
  Bytes back(5);
  ASSERT_TRUE(pread_full(file.get(), back, 100));
  EXPECT_EQ(as_text(back), "hello");
  auto short_read = pread_full(file.get(), back, 103);
  ASSERT_FALSE(short_read);
  EXPECT_EQ(short_read.error().kind(), ErrorKind::corrupt);
}

TEST(Fd, read_file_refuses_more_than_its_limit) {
  auto dir = TempDir::create().value();
  std::string path = dir.path() + "/f";
  ASSERT_TRUE(write_file_atomic(path, "12345"));
  EXPECT_EQ(read_file(path, 5).value(), "12345");
  EXPECT_FALSE(read_file(path, 4));
}

TEST(Fd, write_file_atomic_replaces_and_sets_the_mode) {
  auto dir = TempDir::create().value();
  std::string path = dir.path() + "/f";
  ASSERT_TRUE(write_file_atomic(path, "old"));
  ASSERT_TRUE(write_file_atomic(path, "new", 0600));
  EXPECT_EQ(read_file(path).value(), "new");
  struct stat info;
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_FALSE(write_file_atomic(dir.path() + "/no/such/dir", "x"));
}

TEST(Fd, memfd_is_sealed_and_rewound) {
  auto fd = make_memfd("test", as_bytes("config")).value();
  EXPECT_EQ(as_text(read_all(fd.get(), 100).value()), "config");
  EXPECT_FALSE(write_some(fd.get(), as_bytes("x")));
}

TEST(TempDir, is_removed_with_its_contents) {
  std::string path;
  {
    auto dir = TempDir::create().value();
    path = dir.path();
    ASSERT_TRUE(make_dirs(path + "/a/b/c"));
    ASSERT_TRUE(make_dirs(path + "/a/b/c"));
    ASSERT_TRUE(write_file_atomic(path + "/a/b/file", "x"));
  }
  EXPECT_FALSE(path_exists(path));
  EXPECT_TRUE(remove_tree(path));
}

TEST(ByteReader, never_runs_past_the_end) {
  Bytes bytes{1, 2, 3};
  ByteReader reader(bytes);
  EXPECT_EQ(reader.be<uint16_t>(), 0x0102);
  EXPECT_EQ(reader.le<uint16_t>(), std::nullopt);
  EXPECT_EQ(reader.le<uint8_t>(), 3);
  EXPECT_EQ(reader.remaining(), 0u);
}

TEST(Bytes, integers_survive_both_byte_orders) {
  uint8_t raw[8];
  store_be<uint64_t>(raw, 0x0102030405060708);
  EXPECT_EQ(raw[0], 1);
  EXPECT_EQ(load_be<uint64_t>(raw), 0x0102030405060708u);
  EXPECT_EQ(load_le<uint64_t>(raw), 0x0807060504030201u);
}

}  // namespace
}  // namespace msb
