// Trees from the file system to bytes and back: what went in comes out.
#include <gmock/gmock.h>
#include <rapidcheck/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/temp_dir.h"
#include "tree/testing/snapshot.h"
#include "tree/tree_reader.h"
#include "tree/tree_stream.h"
#include "tree/tree_writer.h"

namespace msb::tree {
namespace {

using testing::snapshot;
using testing::Times;

struct TreeTest : ::testing::Test {
  TempDir temp = *TempDir::create();
  std::string from = temp.path() + "/from";
  std::string into = temp.path() + "/into";
  TreeTest() {
    ::mkdir(from.c_str(), 0755);
    ::mkdir(into.c_str(), 0755);
  }

  void file(const std::string& name, std::string_view text, unsigned mode = 0644) {
    ASSERT_TRUE(write_file_atomic(from + "/" + name, text, mode));
  }
  // `pieces`: how many bytes of the stream arrive at a time.
  Result<> copy(const std::string& source, const std::string& name, size_t pieces = 1 << 20,
                const ReadOptions& options = {}) {
    TreeWriter writer(*open_file(into, O_RDONLY | O_DIRECTORY), name, Trust::own);
    TreeDecoder decoder(writer);
    TreeEncoder encoder([&](ByteView bytes) -> Result<> {
      while (!bytes.empty()) {
        size_t count = std::min(pieces, bytes.size());
        MSB_CHECK(decoder.feed(bytes.first(count)));
        bytes = bytes.subspan(count);
      }
      return {};
    });
    MSB_CHECK(read_tree(source, options, encoder));
    MSB_CHECK(encoder.finish());
    return decoder.finish();
  }
};

TEST_F(TreeTest, files_links_modes_and_times_come_along) {
  file("plain", "text");
  file("tool", "#!/bin/sh\n", 0751);
  file("secret", "x", 0400);
  file("odd \n name \xff", "odd");
  ::mkdir((from + "/locked").c_str(), 0700);
  file("locked/inside", "y");
  ::mkdir((from + "/empty").c_str(), 0711);
  ASSERT_EQ(::symlink("../nowhere", (from + "/dangling").c_str()), 0);
  ASSERT_EQ(::symlink("/etc", (from + "/absolute").c_str()), 0);
  ASSERT_EQ(::mkfifo((from + "/fifo").c_str(), 0600), 0);
  timespec times[2] = {{5, 0}, {1'000'000'007, 123'456'789}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (from + "/plain").c_str(), times, 0), 0);
  times[1].tv_sec = -100;
  ASSERT_EQ(::utimensat(AT_FDCWD, (from + "/dangling").c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
  ASSERT_EQ(::chmod((from + "/locked").c_str(), 0500), 0);
  ASSERT_EQ(::utimensat(AT_FDCWD, (from + "/locked").c_str(), times, 0), 0);
  ASSERT_TRUE(copy(from, "copy", 7));
  EXPECT_EQ(snapshot(into + "/copy"), snapshot(from));
  ::chmod((from + "/locked").c_str(), 0700);
  ::chmod((into + "/copy/locked").c_str(), 0700);
}

TEST_F(TreeTest, a_file_can_be_the_root) {
  file("one", "content", 0640);
  ASSERT_TRUE(copy(from + "/one", "renamed"));
  EXPECT_EQ(read_file(into + "/renamed").value(), "content");
}

TEST_F(TreeTest, a_link_as_the_root_is_copied_or_followed) {
  file("one", "content");
  ASSERT_EQ(::symlink("one", (from + "/link").c_str()), 0);
  ASSERT_TRUE(copy(from + "/link", "link"));
  char target[16];
  EXPECT_EQ(::readlink((into + "/link").c_str(), target, sizeof(target)), 3);
  ASSERT_TRUE(copy(from + "/link", "file", 100, {.follow = true}));
  struct stat status;
  ASSERT_EQ(::lstat((into + "/file").c_str(), &status), 0);
  EXPECT_TRUE(S_ISREG(status.st_mode));
}

TEST_F(TreeTest, holes_stay_holes_and_the_size_is_kept) {
  auto sparse = open_file(from + "/sparse", O_RDWR | O_CREAT);
  ASSERT_TRUE(sparse);
  ASSERT_TRUE(pwrite_full(sparse->get(), as_bytes("middle"), 50 << 20));
  ASSERT_EQ(::ftruncate(sparse->get(), 200 << 20), 0);
  ASSERT_TRUE(copy(from + "/sparse", "sparse"));
  struct stat status;
  ASSERT_EQ(::stat((into + "/sparse").c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 200 << 20);
  EXPECT_LT(status.st_blocks * 512, 1 << 20);
  auto copied = open_file(into + "/sparse");
  uint8_t text[6];
  ASSERT_TRUE(pread_full(copied->get(), text, 50 << 20));
  EXPECT_EQ(as_text(text), "middle");
}

TEST_F(TreeTest, a_file_of_proc_has_content_whatever_its_size_says) {
  ASSERT_TRUE(copy("/proc/version", "version"));
  EXPECT_EQ(read_file(into + "/version").value(), read_file("/proc/version").value());
}

TEST_F(TreeTest, a_socket_is_left_out) {
  file("one", "1");
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string path = from + "/socket";
  ASSERT_LT(path.size(), sizeof(address.sun_path));
  std::copy(path.begin(), path.end(), address.sun_path);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_TRUE(copy(from, "copy"));
  EXPECT_EQ(snapshot(into + "/copy", Times::ignored).size(), 1u);
  EXPECT_FALSE(copy(path, "socket"));
}

TEST_F(TreeTest, a_copy_over_a_copy_merges_and_replaces) {
  ::mkdir((from + "/folder").c_str(), 0755);
  file("folder/a", "old a");
  file("folder/b", "old b", 0400);
  ASSERT_TRUE(copy(from, "copy"));
  file("folder/b", "new b", 0444);
  file("folder/c", "new c");
  ASSERT_EQ(::unlink((from + "/folder/a").c_str()), 0);
  ASSERT_TRUE(copy(from, "copy"));
  EXPECT_EQ(read_file(into + "/copy/folder/a").value(), "old a");
  EXPECT_EQ(read_file(into + "/copy/folder/b").value(), "new b");
  EXPECT_EQ(read_file(into + "/copy/folder/c").value(), "new c");
}

TEST_F(TreeTest, a_directory_never_becomes_a_file_nor_a_file_a_directory) {
  file("x", "file");
  ::mkdir((into + "/x").c_str(), 0755);
  auto over_directory = copy(from + "/x", "x");
  ASSERT_FALSE(over_directory);
  EXPECT_EQ(over_directory.error().errnum(), EISDIR);
  ASSERT_TRUE(write_file_atomic(into + "/y", "kept"));
  auto over_file = copy(from, "y");
  ASSERT_FALSE(over_file);
  EXPECT_EQ(over_file.error().errnum(), ENOTDIR);
  EXPECT_EQ(read_file(into + "/y").value(), "kept");
}

TEST_F(TreeTest, what_is_missing_or_too_deep_says_so) {
  auto missing = copy(from + "/missing", "x");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().errnum(), ENOENT);
  EXPECT_THAT(missing.error().to_string(), ::testing::HasSubstr("missing"));
  Fd folder = *open_file(from, O_RDONLY | O_DIRECTORY);
  for (size_t depth = 0; depth <= kMaxDepth; ++depth) {
    ASSERT_EQ(::mkdirat(folder.get(), "d", 0755), 0);
    folder = *open_at(folder.get(), "d", O_RDONLY | O_DIRECTORY);
  }
  auto deep = copy(from, "deep");
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().errnum(), ELOOP);
}

TEST_F(TreeTest, a_file_cut_off_in_the_middle_is_removed) {
  {
    TreeWriter writer(*open_file(into, O_RDONLY | O_DIRECTORY), "half", Trust::own);
    wire::TreeEntry entry;
    entry.mode = 0644;
    ASSERT_TRUE(writer.entry(entry));
    ASSERT_TRUE(writer.data(as_bytes("first half")));
  }
  EXPECT_FALSE(path_exists(into + "/half"));
}

TEST_F(TreeTest, a_directory_passed_through_keeps_its_attributes) {
  ::mkdir((into + "/there").c_str(), 0750);
  ::mkdir((into + "/there/below").c_str(), 0710);
  timespec times[2] = {{5, 0}, {77, 88}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (into + "/there/below").c_str(), times, 0), 0);
  TreeWriter writer(*open_file(into, O_RDONLY | O_DIRECTORY), "there", Trust::own);
  wire::TreeEntry through;
  through.kind = wire::FileKind::directory;
  ASSERT_TRUE(writer.entry(through));
  through.name = as_bytes("below");
  ASSERT_TRUE(writer.entry(through));
  wire::TreeEntry entry;
  entry.name = as_bytes("new");
  entry.mode = 0600;
  ASSERT_TRUE(writer.entry(entry) && writer.end() && writer.leave() && writer.leave());
  struct stat status;
  ASSERT_EQ(::stat((into + "/there/below").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0710u);
  EXPECT_EQ(status.st_mtim.tv_sec, 77);
  EXPECT_TRUE(path_exists(into + "/there/below/new"));
}

TEST_F(TreeTest, a_directory_that_is_there_can_be_the_root) {
  file("new", "new");
  ASSERT_TRUE(write_file_atomic(into + "/old", "old"));
  TreeWriter writer(*open_file(into, O_RDONLY | O_DIRECTORY), Trust::own);
  ASSERT_TRUE(read_tree(from, {}, writer));
  EXPECT_EQ(read_file(into + "/new").value(), "new");
  EXPECT_EQ(read_file(into + "/old").value(), "old");
  TreeWriter again(*open_file(into, O_RDONLY | O_DIRECTORY), Trust::own);
  auto refused = read_tree(from + "/new", {}, again);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().errnum(), EISDIR);
}

TEST(PrintablePath, keeps_text_and_shows_the_rest) {
  EXPECT_EQ(printable_path("/a b/\xc3\xa9"), "/a b/\xc3\xa9");
  EXPECT_EQ(printable_path(std::string_view("a\nb\x1b\0\xff\xc3", 7)), "a\\nb\\x1b\\x00\\xff\\xc3");
}

// Any tree, in pieces of any size.
RC_GTEST_FIXTURE_PROP(TreeTest, any_tree_survives, ()) {
  std::string top = from + "/tree";
  (void)remove_tree(top);
  (void)remove_tree(into + "/tree");
  ::mkdir(top.c_str(), 0755);
  std::vector<std::string> folders{top};
  size_t count = *rc::gen::inRange<size_t>(0, 20);
  for (size_t i = 0; i < count; ++i) {
    std::string name = cat(folders[*rc::gen::inRange<size_t>(0, folders.size())], "/", i);
    auto letters = *rc::gen::container<std::string>(rc::gen::inRange<char>(1, 127));
    for (char letter : letters.substr(0, 200)) name += letter == '/' ? '_' : letter;
    auto mode = *rc::gen::inRange<unsigned>(0, 01000);
    switch (*rc::gen::inRange(0, 4)) {
      case 0:
        RC_ASSERT(::mkdir(name.c_str(), 0700 | mode) == 0);
        folders.push_back(name);
        break;
      case 1:
        RC_ASSERT(::symlink(letters.empty() ? "x" : letters.c_str(), name.c_str()) == 0);
        break;
      default: {
        auto made = open_file(name, O_RDWR | O_CREAT, 0600);
        RC_ASSERT(made.has_value());
        size_t gap = *rc::gen::inRange<size_t>(0, 300'000);
        RC_ASSERT(pwrite_full(made->get(), as_bytes(letters), gap).has_value());
        RC_ASSERT(::fchmod(made->get(), mode | 0400) == 0);
      }
    }
  }
  auto copied = copy(top, "tree", *rc::gen::inRange<size_t>(1, 100'000));
  if (!copied) RC_FAIL(copied.error().to_string());
  RC_ASSERT(snapshot(into + "/tree") == snapshot(top));
}

}  // namespace
}  // namespace msb::tree
