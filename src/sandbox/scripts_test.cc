#include "sandbox/scripts.h"

#include <gmock/gmock.h>

#include "base/temp_dir.h"
#include "disk/erofs_reader.h"

namespace msb {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

std::string wrong(const std::vector<Script>& scripts) {
  auto judged = check_scripts(scripts);
  EXPECT_TRUE(judged || judged.error().kind() == ErrorKind::invalid_config);
  return judged ? "" : judged.error().to_string();
}

TEST(Scripts, wrong_ones_are_named) {
  EXPECT_EQ(wrong({{"setup", "#!/bin/sh\n"}, {".hidden", ""}, {"a b", "x"}}), "");
  EXPECT_THAT(wrong({{"", "x"}}), HasSubstr("no name"));
  EXPECT_THAT(wrong({{"a/b", "x"}}), HasSubstr("'a/b'"));
  EXPECT_THAT(wrong({{"..", "x"}}), HasSubstr("'..'"));
  EXPECT_THAT(wrong({{std::string("a\0b", 3), "x"}}), HasSubstr("NUL"));
  EXPECT_THAT(wrong({{std::string(256, 'n'), "x"}}), HasSubstr("longer than 255"));
  EXPECT_THAT(wrong({{"a", "x"}, {"b", "y"}, {"a", "z"}}), HasSubstr("two scripts are named 'a'"));
  EXPECT_THAT(wrong({{"a", std::string(16 << 20, 'x')}, {"b", "y"}}), HasSubstr("16.0 MiB"));
}

TEST(Scripts, the_image_has_them_executable_and_whole) {
  TempDir folder = *TempDir::create();
  std::string image = folder.path() + "/scripts.erofs";
  ASSERT_TRUE(
      make_scripts_image({{"one", "#!/bin/sh\necho 1\n"}, {"empty", ""}, {"big", std::string(9000, 'b')}}, image));
  auto reader = disk::ErofsReader::open(image);
  ASSERT_TRUE(reader) << reader.error().to_string();
  auto tree = *reader->load_tree();
  EXPECT_EQ(tree.inode(0).directory->entries.size(), 3u);
  const disk::Inode& one = tree.inode(tree.lookup("one"));
  EXPECT_EQ(one.mode, S_IFREG | 0755);
  EXPECT_EQ(one.uid, 0u);
  Bytes bytes(one.size);
  ASSERT_TRUE(reader->read(one, 0, bytes));
  EXPECT_EQ(as_text(bytes), "#!/bin/sh\necho 1\n");
  EXPECT_EQ(tree.inode(tree.lookup("empty")).size, 0u);
  EXPECT_EQ(tree.inode(tree.lookup("big")).size, 9000u);
}

TEST(Scripts, the_guest_mounts_them_read_only_and_finds_them_first) {
  state::Home home = *state::Home::at("/home/x");
  SandboxConfig config;
  config.name = "demo";
  config.scripts = {{"setup", "x"}};
  state::MachineSpec machine;
  machine.disks.resize(2);
  wire::Bootstrap bootstrap;
  bootstrap.env = {"A=1", "PATH=/bin"};
  plan_scripts(home, config, machine, bootstrap);
  ASSERT_EQ(machine.disks.size(), 3u);
  EXPECT_TRUE(machine.disks[2].read_only);
  EXPECT_THAT(machine.disks[2].files, Contains("/home/x/sandboxes/demo/scripts.erofs"));
  ASSERT_EQ(bootstrap.mounts.size(), 1u);
  EXPECT_EQ(bootstrap.mounts[0].device, "/dev/vdc");
  EXPECT_EQ(bootstrap.mounts[0].target, "/.msb/scripts");
  EXPECT_TRUE(bootstrap.mounts[0].read_only);
  EXPECT_THAT(bootstrap.env, Contains("PATH=/.msb/scripts:/bin"));
}

TEST(Scripts, a_sandbox_without_scripts_has_no_disk_for_them) {
  state::MachineSpec machine;
  wire::Bootstrap bootstrap;
  bootstrap.env = {"PATH=/bin"};
  plan_scripts(*state::Home::at("/home/x"), {}, machine, bootstrap);
  EXPECT_TRUE(machine.disks.empty());
  EXPECT_THAT(bootstrap.env, Contains("PATH=/bin"));
}

}  // namespace
}  // namespace msb
