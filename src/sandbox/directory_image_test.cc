#include "sandbox/directory_image.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/child.h"
#include "base/temp_dir.h"
#include "disk/erofs_reader.h"

namespace msb {
namespace {

using ::testing::HasSubstr;

// A directory, and what its image has; fsck.erofs agrees that it is one.
struct Fixture {
  TempDir folder = *TempDir::create();
  std::string source = folder.path() + "/source";
  std::string image = folder.path() + "/image.erofs";

  Fixture() { ::mkdir(source.c_str(), 0755); }
  void file(const std::string& name, std::string_view contents) {
    ASSERT_TRUE(write_file_atomic(source + "/" + name, contents));
  }
  void convert() {
    auto made = make_directory_image(source, image);
    ASSERT_TRUE(made) << made.error().to_string();
    auto checked = run_capture({"fsck.erofs", image});
    ASSERT_TRUE(checked) << checked.error().to_string();
    reader = *disk::ErofsReader::open(image);
    tree = *reader->load_tree();
  }
  const disk::Inode& look(const std::string& path) const { return tree.inode(tree.lookup(path)); }
  std::string read(const std::string& path) {
    const disk::Inode& inode = look(path);
    std::string contents(inode.size, '?');
    for (size_t done = 0; done < contents.size();) {
      auto count =
          reader->read(inode, done, {reinterpret_cast<uint8_t*>(contents.data()) + done, contents.size() - done});
      if (!count || *count == 0) return "(unreadable)";
      done += *count;
    }
    return contents;
  }
  std::optional<disk::ErofsReader> reader;
  disk::ErofsTree tree;
};

TEST(DirectoryImage, keeps_files_folders_links_and_modes) {
  Fixture fixture;
  ::mkdir((fixture.source + "/etc").c_str(), 0750);
  fixture.file("etc/hello", "hello");
  fixture.file("big", std::string(100'000, 'b'));
  fixture.file("empty", "");
  ::chmod((fixture.source + "/big").c_str(), 04711);
  ASSERT_EQ(::symlink("etc/hello", (fixture.source + "/link").c_str()), 0);
  ASSERT_EQ(::link((fixture.source + "/big").c_str(), (fixture.source + "/etc/same").c_str()), 0);
  fixture.convert();
  EXPECT_EQ(fixture.read("etc/hello"), "hello");
  EXPECT_EQ(fixture.look("link").target, "etc/hello");
  EXPECT_EQ(fixture.read("big"), std::string(100'000, 'b'));
  EXPECT_EQ(fixture.look("big").mode, S_IFREG | 04711);
  EXPECT_EQ(fixture.look("etc").mode, S_IFDIR | 0750);
  EXPECT_EQ(fixture.look("empty").size, 0u);
  EXPECT_EQ(fixture.tree.lookup("etc/same"), fixture.tree.lookup("big"));
}

TEST(DirectoryImage, holes_take_no_room) {
  Fixture fixture;
  fixture.file("sparse", "start");
  std::string path = fixture.source + "/sparse";
  ASSERT_EQ(::truncate(path.c_str(), 64 << 20), 0);
  Fd file = *open_file(path, O_RDWR);
  ASSERT_TRUE(pwrite_full(file.get(), as_bytes("middle"), 33'000'001));
  file.reset();
  fixture.convert();
  struct stat status{};
  ASSERT_EQ(::stat(fixture.image.c_str(), &status), 0);
  EXPECT_LT(status.st_size, 4 << 20);
  std::string contents = fixture.read("sparse");
  ASSERT_EQ(contents.size(), size_t{64} << 20);
  EXPECT_EQ(contents.substr(0, 5), "start");
  EXPECT_EQ(contents.substr(33'000'001, 6), "middle");
  EXPECT_EQ(contents.find_first_not_of('\0', 33'000'007), std::string::npos);
}

TEST(DirectoryImage, the_same_directory_gives_the_same_image) {
  Fixture fixture;
  for (const char* name : {"b", "a", "c"}) fixture.file(name, name);
  ASSERT_TRUE(make_directory_image(fixture.source, fixture.image));
  ASSERT_TRUE(make_directory_image(fixture.source, fixture.image + "2"));
  EXPECT_EQ(*read_file(fixture.image), *read_file(fixture.image + "2"));
}

TEST(DirectoryImage, a_missing_directory_leaves_nothing) {
  Fixture fixture;
  auto made = make_directory_image(fixture.source + "/none", fixture.image);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind(), ErrorKind::path_not_found);
  EXPECT_FALSE(path_exists(fixture.image));
  EXPECT_THAT(made.error().to_string(), HasSubstr("/none"));
}

}  // namespace
}  // namespace msb
