// Patches on trees made by hand, and on the images of directories.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/child.h"
#include "base/temp_dir.h"
#include "disk/erofs_reader.h"
#include "sandbox/directory_image.h"
#include "sandbox/patch_image.h"
#include "sandbox/patches.h"

namespace msb {
namespace {

using ::testing::HasSubstr;

// A directory as a root, the patched image of it, and what a guest would find in there.
class PatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(make_dirs(source_ + "/etc"));
    ASSERT_TRUE(make_dirs(source_ + "/usr/bin"));
    put("etc/hosts", "127.0.0.1 localhost\n");
    put("usr/bin/tool", "tool");
    ::chmod((source_ + "/usr/bin/tool").c_str(), 04755);
    ASSERT_EQ(::symlink("usr/bin", (source_ + "/bin").c_str()), 0);
    ASSERT_EQ(::symlink("/../../outside", (source_ + "/etc/evil").c_str()), 0);
  }
  void put(const std::string& name, std::string_view contents) {
    ASSERT_TRUE(write_file_atomic(source_ + "/" + name, contents));
  }
  std::string host_file(const std::string& name, std::string_view contents, unsigned mode = 0644) {
    std::string path = folder_.path() + "/" + name;
    EXPECT_TRUE(write_file_atomic(path, contents));
    ::chmod(path.c_str(), mode);
    return path;
  }
  Result<> try_patch(std::vector<Patch> patches) {
    MSB_CHECK(make_directory_image(source_, root_));
    MSB_CHECK(resolve_patches(patches));
    return make_patch_image(patches, {root_}, image_);
  }
  void patch(std::vector<Patch> patches) {
    auto made = try_patch(std::move(patches));
    ASSERT_TRUE(made) << made.error().to_string();
    tree_ = *disk::ErofsReader::open(image_)->load_tree();
  }
  ErrorKind refused(Patch one) {
    auto made = try_patch({one});
    EXPECT_FALSE(made);
    if (made) return ErrorKind::internal;
    EXPECT_THAT(made.error().to_string(), HasSubstr(describe(one)));
    EXPECT_FALSE(path_exists(image_));
    return made.error().kind();
  }
  bool has(const std::string& path) { return tree_.lookup(path) != disk::kNoInode; }
  const disk::Inode& look(const std::string& path) {
    EXPECT_TRUE(has(path)) << path;
    return tree_.inode(has(path) ? tree_.lookup(path) : 0);
  }
  std::string read(const std::string& path) {
    const disk::Inode& inode = look(path);
    Fd file = *open_file(inode.device == 0 ? image_ : root_);
    Bytes bytes(inode.size);
    for (size_t done = 0; done < bytes.size();) {
      auto count = disk::erofs_read_data(file.get(), inode, done, MutableByteView(bytes).subspan(done));
      if (!count || *count == 0) return "(unreadable)";
      done += *count;
    }
    return std::string(as_text(bytes));
  }

  TempDir folder_ = *TempDir::create();
  std::string source_ = folder_.path() + "/root";
  std::string root_ = folder_.path() + "/root.erofs";
  std::string image_ = folder_.path() + "/patch.erofs";
  disk::ErofsTree tree_;
};

TEST_F(PatchTest, files_and_directories_are_made_with_their_parents) {
  patch({Patch::text("/etc/greeting.txt", "Hello!\n"),
         Patch::file("/opt/a/b/data", std::string("\0\xff", 2), {.mode = 0600}), Patch::mkdir("/app"),
         Patch::mkdir("/private/", {.mode = 01700}), Patch::text("/empty", "")});
  EXPECT_EQ(read("etc/greeting.txt"), "Hello!\n");
  EXPECT_EQ(look("etc/greeting.txt").mode, S_IFREG | 0644);
  EXPECT_EQ(look("etc/greeting.txt").uid, 0u);
  EXPECT_EQ(read("opt/a/b/data"), std::string("\0\xff", 2));
  EXPECT_EQ(look("opt/a/b/data").mode, S_IFREG | 0600);
  EXPECT_EQ(look("opt/a").mode, S_IFDIR | 0755);
  EXPECT_EQ(look("app").mode, S_IFDIR | 0755);
  EXPECT_EQ(look("private").mode, S_IFDIR | 01700);
  EXPECT_EQ(read("empty"), "");
}

TEST_F(PatchTest, what_is_not_patched_stays_and_takes_no_space) {
  put("big", std::string(1'000'000, 'b'));
  patch({Patch::text("/a", "a")});
  EXPECT_EQ(read("big"), std::string(1'000'000, 'b'));
  EXPECT_EQ(read("usr/bin/tool"), "tool");
  EXPECT_EQ(look("usr/bin/tool").mode, S_IFREG | 04755);
  EXPECT_EQ(look("bin").target, "usr/bin");
  struct stat status{};
  ASSERT_EQ(::stat(image_.c_str(), &status), 0);
  EXPECT_LT(status.st_size, 100'000);
}

TEST_F(PatchTest, append_keeps_owner_mode_and_the_other_names_of_the_file) {
  ::chmod((source_ + "/etc/hosts").c_str(), 0640);
  ASSERT_EQ(::link((source_ + "/etc/hosts").c_str(), (source_ + "/etc/same").c_str()), 0);
  patch({Patch::append("/etc/hosts", "127.0.0.1 one\n"), Patch::append("/etc/same", "127.0.0.1 two\n")});
  EXPECT_EQ(read("etc/hosts"), "127.0.0.1 localhost\n127.0.0.1 one\n127.0.0.1 two\n");
  EXPECT_EQ(read("etc/same"), read("etc/hosts"));
  EXPECT_EQ(look("etc/hosts").mode, S_IFREG | 0640);
}

TEST_F(PatchTest, append_goes_to_what_patches_have_brought_too) {
  std::string copied = host_file("copied", std::string(300'000, 'c'));
  std::string holes = host_file("holes", "");
  ASSERT_EQ(::truncate(holes.c_str(), 100'000), 0);
  patch({Patch::text("/t", "1"), Patch::append("/t", "2"), Patch::copy_file(copied, "/c"), Patch::append("/c", "!"),
         Patch::copy_file(holes, "/h"), Patch::append("/h", "!")});
  EXPECT_EQ(read("t"), "12");
  EXPECT_EQ(read("c"), std::string(300'000, 'c') + "!");
  EXPECT_EQ(read("h"), std::string(100'000, '\0') + "!");
}

TEST_F(PatchTest, copies_keep_modes_and_links_and_belong_to_root) {
  std::string file = host_file("script", "#!/bin/sh\n", 0750);
  std::string tree = folder_.path() + "/tree";
  ASSERT_TRUE(make_dirs(tree + "/sub"));
  ::chmod(tree.c_str(), 0700);
  ASSERT_TRUE(write_file_atomic(tree + "/sub/x", "x"));
  ASSERT_EQ(::symlink("/etc/passwd", (tree + "/link").c_str()), 0);
  patch({Patch::copy_file(file, "/usr/local/bin/script"), Patch::copy_file(file, "/other", {.mode = 0111}),
         Patch::copy_dir(tree, "/app/tree")});
  EXPECT_EQ(look("usr/local/bin/script").mode, S_IFREG | 0750);
  EXPECT_EQ(look("other").mode, S_IFREG | 0111);
  EXPECT_EQ(read("other"), "#!/bin/sh\n");
  EXPECT_EQ(look("app/tree").mode, S_IFDIR | 0700);
  EXPECT_EQ(look("app/tree").uid, 0u);
  EXPECT_EQ(read("app/tree/sub/x"), "x");
  EXPECT_EQ(look("app/tree/link").target, "/etc/passwd");
}

TEST_F(PatchTest, patches_are_made_in_their_order) {
  patch({Patch::remove("/etc"), Patch::text("/etc/hosts", "new"), Patch::symlink("/etc/hosts", "/h"),
         Patch::remove("/usr/bin/none"), Patch::remove("/none/none"), Patch::remove("/etc/hosts/none"),
         Patch::mkdir("/usr"), Patch::mkdir("/usr/bin", {.mode = 0711})});
  EXPECT_EQ(read("etc/hosts"), "new");
  EXPECT_FALSE(has("etc/evil"));
  EXPECT_EQ(look("h").target, "/etc/hosts");
  EXPECT_EQ(look("usr/bin").mode, S_IFDIR | 0711);
  EXPECT_TRUE(has("usr/bin/tool"));
}

TEST_F(PatchTest, links_of_the_image_are_followed_inside_it) {
  patch({Patch::text("/bin/more", "m"), Patch::text("/etc/evil/passwd", "p"), Patch::mkdir("/bin"),
         Patch::append("/bin/tool", "!")});
  EXPECT_EQ(read("usr/bin/more"), "m");
  EXPECT_EQ(read("outside/passwd"), "p");
  EXPECT_FALSE(path_exists(folder_.path() + "/outside"));
  EXPECT_EQ(read("usr/bin/tool"), "tool!");
}

TEST_F(PatchTest, what_exists_is_replaced_on_demand_only) {
  std::string file = host_file("file", "new");
  EXPECT_EQ(refused(Patch::text("/etc/hosts", "new")), ErrorKind::path_already_exists);
  EXPECT_EQ(refused(Patch::file("/bin", "new")), ErrorKind::path_already_exists);
  EXPECT_EQ(refused(Patch::copy_file(file, "/etc/hosts")), ErrorKind::path_already_exists);
  EXPECT_EQ(refused(Patch::copy_dir(source_, "/bin")), ErrorKind::path_already_exists);
  EXPECT_EQ(refused(Patch::symlink("x", "/etc/hosts")), ErrorKind::path_already_exists);
  patch({Patch::text("/etc/hosts", "new", {.mode = {}, .replace = true}), Patch::symlink("x", "/bin", true)});
  EXPECT_EQ(read("etc/hosts"), "new");
  EXPECT_EQ(look("bin").target, "x");
}

TEST_F(PatchTest, a_directory_that_is_replaced_is_merged) {
  std::string tree = folder_.path() + "/tree";
  ASSERT_TRUE(make_dirs(tree + "/bin"));
  ASSERT_TRUE(write_file_atomic(tree + "/bin/tool", "mine"));
  ASSERT_TRUE(write_file_atomic(tree + "/bin/new", "n"));
  patch({Patch::copy_dir(tree, "/usr", true)});
  EXPECT_EQ(read("usr/bin/tool"), "mine");
  EXPECT_EQ(read("usr/bin/new"), "n");
  ASSERT_TRUE(make_dirs(tree + "/bin/sub"));
  patch({Patch::copy_dir(tree + "/bin", "/bin", true)});
  EXPECT_TRUE(has("usr/bin/sub"));
  EXPECT_TRUE(look("bin").is_symlink());
}

TEST_F(PatchTest, a_directory_never_becomes_a_file_nor_a_file_a_directory) {
  std::string tree = folder_.path() + "/tree";
  ASSERT_TRUE(make_dirs(tree + "/hosts"));
  ASSERT_TRUE(write_file_atomic(tree + "/bin", "file"));
  EXPECT_EQ(refused(Patch::text("/etc", "x", {.mode = {}, .replace = true})), ErrorKind::is_a_directory);
  EXPECT_EQ(refused(Patch::mkdir("/etc/hosts")), ErrorKind::not_a_directory);
  EXPECT_EQ(refused(Patch::text("/etc/hosts/x", "x")), ErrorKind::not_a_directory);
  EXPECT_EQ(refused(Patch::copy_dir(tree, "/etc", true)), ErrorKind::not_a_directory);
  EXPECT_EQ(refused(Patch::copy_dir(tree, "/usr", true)), ErrorKind::is_a_directory);
  EXPECT_EQ(refused(Patch::append("/etc", "x")), ErrorKind::is_a_directory);
}

TEST_F(PatchTest, appending_to_nothing_is_refused) {
  EXPECT_EQ(refused(Patch::append("/etc/none", "x")), ErrorKind::path_not_found);
  EXPECT_EQ(refused(Patch::append("/none/none", "x")), ErrorKind::path_not_found);
  EXPECT_EQ(refused(Patch::append("/etc/evil", "x")), ErrorKind::path_not_found);
}

TEST_F(PatchTest, links_in_a_circle_end) {
  ASSERT_EQ(::symlink("round", (source_ + "/round").c_str()), 0);
  EXPECT_EQ(refused(Patch::text("/round/x", "x")), ErrorKind::path_not_found);
  EXPECT_EQ(refused(Patch::append("/round", "x")), ErrorKind::path_not_found);
}

TEST_F(PatchTest, sources_that_cannot_be_copied_are_named) {
  EXPECT_EQ(refused(Patch::copy_file("/none/such", "/x")), ErrorKind::path_not_found);
  EXPECT_EQ(refused(Patch::copy_file(source_, "/x")), ErrorKind::is_a_directory);
  EXPECT_EQ(refused(Patch::copy_dir(host_file("file", ""), "/x")), ErrorKind::not_a_directory);
  EXPECT_EQ(refused(Patch::copy_file("/dev/null", "/x")), ErrorKind::invalid_config);
}

TEST_F(PatchTest, the_image_is_one_that_others_can_read) {
  patch({Patch::append("/etc/hosts", "more\n"), Patch::remove("/bin"), Patch::text("/a", std::string(10'000, 'a'))});
  auto checked = run_capture({"fsck.erofs", "--device=" + root_, image_});
  EXPECT_TRUE(checked) << checked.error().to_string();
}

// A set of patches that should be refused without looking at any disk.
std::string wrong(Patch patch) {
  SandboxConfig config;
  config.image.reference = "busybox";
  config.patches = {std::move(patch)};
  auto judged = check_patches(config);
  EXPECT_TRUE(judged || judged.error().kind() == ErrorKind::invalid_config);
  return judged ? "" : judged.error().to_string();
}

TEST(Patches, wrong_ones_are_named) {
  EXPECT_THAT(wrong(Patch::text("etc/x", "")), HasSubstr("'etc/x' does not begin with '/'"));
  EXPECT_THAT(wrong(Patch::text("", "")), HasSubstr("does not begin with '/'"));
  EXPECT_THAT(wrong(Patch::text("/a/../b", "")), HasSubstr("'/a/../b' has a '..'"));
  EXPECT_THAT(wrong(Patch::text(std::string("/a\0b", 4), "")), HasSubstr("NUL"));
  EXPECT_THAT(wrong(Patch::text("/" + std::string(256, 'n'), "")), HasSubstr("longer than 255"));
  EXPECT_THAT(wrong(Patch::text("//./", "")), HasSubstr("root directory"));
  EXPECT_THAT(wrong(Patch::remove("/")), HasSubstr("root directory"));
  EXPECT_THAT(wrong(Patch::mkdir("/x", {.mode = 0100755})), HasSubstr("permission bits"));
  EXPECT_THAT(wrong(Patch::symlink("", "/x")), HasSubstr("target"));
  EXPECT_THAT(wrong(Patch::copy_file("", "/x")), HasSubstr("copies nothing"));
  EXPECT_EQ(wrong(Patch::mkdir("/")), "");
}

TEST(Patches, a_disk_image_has_none) {
  SandboxConfig config;
  config.image = {.kind = ImageSource::Kind::disk, .reference = "/d.raw", .format = DiskFormat::raw};
  EXPECT_TRUE(check_patches(config));
  config.patches = {Patch::mkdir("/x")};
  EXPECT_THAT(check_patches(config).error().to_string(), HasSubstr("disk image"));
}

}  // namespace
}  // namespace msb
