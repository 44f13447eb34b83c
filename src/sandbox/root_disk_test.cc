#include "sandbox/root_disk.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/child.h"
#include "base/temp_dir.h"
#include "base/units.h"
#include "sandbox/directory_image.h"

namespace msb {
namespace {

using ::testing::HasSubstr;

RootDisk parsed(std::string_view text) {
  auto disk = RootDisk::parse(text);
  EXPECT_TRUE(disk) << text << ": " << (disk ? "" : disk.error().to_string());
  return disk.value_or(RootDisk{});
}
std::string refused(std::string_view text) {
  auto disk = RootDisk::parse(text);
  EXPECT_FALSE(disk) << text;
  EXPECT_TRUE(disk || disk.error().kind() == ErrorKind::invalid_config);
  return disk ? "" : disk.error().to_string();
}

TEST(RootDisk, has_many_textual_forms) {
  EXPECT_EQ(parsed("8G").size_mib, 8192u);
  EXPECT_EQ(parsed("tmpfs:512M").kind, RootDisk::Kind::tmpfs);
  EXPECT_EQ(parsed("flat").kind, RootDisk::Kind::flat);
  EXPECT_EQ(parsed("flat").size_mib, 4096u);
  RootDisk flat = parsed("flat:2G,fstype=ext4,clone=copy");
  EXPECT_EQ(flat.size_mib, 2048u);
  EXPECT_EQ(flat.fstype, "ext4");
  EXPECT_EQ(flat.clone, RootDisk::Clone::copy);
  EXPECT_EQ(parsed("flat,clone=reflink").clone, RootDisk::Clone::reflink);
  RootDisk disk = parsed("./disks/mine.qcow2");
  EXPECT_EQ(disk.kind, RootDisk::Kind::disk);
  EXPECT_EQ(disk.source, "./disks/mine.qcow2");
  EXPECT_EQ(disk.format, DiskFormat::qcow2);
  disk = parsed("/srv/a:b:format=raw,fstype=xfs");
  EXPECT_EQ(disk.source, "/srv/a:b");
  EXPECT_EQ(disk.format, DiskFormat::raw);
  EXPECT_EQ(disk.fstype, "xfs");
}

TEST(RootDisk, forms_that_mean_nothing_are_named) {
  EXPECT_THAT(refused("lots"), HasSubstr("lots"));
  EXPECT_THAT(refused("flat:"), HasSubstr("root disk"));
  EXPECT_THAT(refused("flat:8G,fstype=xfs"), HasSubstr("'fstype=xfs'"));
  EXPECT_THAT(refused("flat,clone=fast"), HasSubstr("'clone=fast'"));
  EXPECT_THAT(refused("flat,"), HasSubstr("''"));
  EXPECT_THAT(refused("./disk"), HasSubstr("'./disk'"));
  EXPECT_THAT(refused("./disk:format=vmdk"), HasSubstr("'format=vmdk'"));
}

class RootDiskTest : public ::testing::Test {
 protected:
  TempDir folder_ = *TempDir::create();
  state::Home home_ = *state::Home::at(folder_.path() + "/home");
};

TEST_F(RootDiskTest, a_disk_of_the_users_must_be_there_and_be_one) {
  RootDisk disk{.kind = RootDisk::Kind::disk, .size_mib = 0, .source = folder_.path() + "/none.raw"};
  disk.format = DiskFormat::raw;
  EXPECT_EQ(resolve_root_disk(disk).error().kind(), ErrorKind::path_not_found);
  ASSERT_TRUE(write_file_atomic(folder_.path() + "/odd.raw", "odd"));
  disk.source = folder_.path() + "/odd.raw";
  EXPECT_EQ(resolve_root_disk(disk).error().kind(), ErrorKind::corrupt);
  ASSERT_EQ(::truncate(disk.source.c_str(), 1 << 20), 0);
  disk.source = folder_.path() + "/./odd.raw";
  ASSERT_TRUE(resolve_root_disk(disk));
  EXPECT_THAT(disk.source, testing::Not(HasSubstr("/./")));
}

TEST_F(RootDiskTest, an_image_that_does_not_fit_a_flat_disk_is_told_with_the_size_that_will_do) {
  ASSERT_TRUE(make_dirs(folder_.path() + "/root"));
  ASSERT_TRUE(write_file_atomic(folder_.path() + "/root/big", std::string(40 << 20, 'b')));
  std::string tree = folder_.path() + "/root.erofs";
  ASSERT_TRUE(make_directory_image(folder_.path() + "/root", tree));
  RootDisk disk{.kind = RootDisk::Kind::flat, .size_mib = 48};
  auto judged = check_flat_size(tree, disk, kGiB);
  ASSERT_FALSE(judged);
  EXPECT_EQ(judged.error().kind(), ErrorKind::invalid_config);
  EXPECT_THAT(judged.error().hints().at(0), HasSubstr("flat:59M"));
  disk.size_mib = 59;
  EXPECT_TRUE(check_flat_size(tree, disk, kGiB));
  EXPECT_EQ(check_flat_size(tree, disk, 30 * kMiB).error().errnum(), ENOSPC);
}

TEST_F(RootDiskTest, a_reflink_is_made_or_refused_but_nothing_else) {
  RootDisk disk{.kind = RootDisk::Kind::flat, .size_mib = 64};
  ASSERT_TRUE(make_dirs(home_.path()));
  disk.clone = RootDisk::Clone::copy;
  ASSERT_TRUE(make_root_disk(disk, home_, home_.path() + "/copied"));
  EXPECT_TRUE(run_capture({"/sbin/e2fsck", "-fn", home_.path() + "/copied"}));
  disk.clone = RootDisk::Clone::reflink;
  auto cloned = make_root_disk(disk, home_, home_.path() + "/cloned");
  EXPECT_TRUE(cloned || cloned.error().kind() == ErrorKind::unsupported);
  EXPECT_EQ(cloned.has_value(), path_exists(home_.path() + "/cloned"));
}

}  // namespace
}  // namespace msb
