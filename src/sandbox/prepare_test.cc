#include "sandbox/prepare.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "base/child.h"
#include "base/temp_dir.h"
#include "sandbox/machine_plan.h"

namespace msb {
namespace {

using ::testing::HasSubstr;

class PrepareTest : public ::testing::Test {
 protected:
  // A qcow2 image of the caller's.
  std::string make_disk() {
    std::string path = folder_.path() + "/disk.qcow2";
    auto made = run_capture({"qemu-img", "create", "-q", "-f", "qcow2", path, "8M"});
    EXPECT_TRUE(made) << made.error().to_string();
    stored_.config.image = {.kind = ImageSource::Kind::disk, .reference = path, .format = DiskFormat::qcow2};
    return path;
  }
  void make_directory() {
    ASSERT_TRUE(make_dirs(folder_.path() + "/root/etc"));
    stored_.config.image = {.kind = ImageSource::Kind::directory, .reference = folder_.path() + "/root"};
    stored_.config.root_disk.kind = RootDisk::Kind::tmpfs;
    auto prepared = prepare_disks(home_, stored_, Run::first);
    ASSERT_TRUE(prepared) << prepared.error().to_string();
  }
  // Why there will be no sandbox; empty when there is no reason.
  std::string refused_when_made() {
    auto resolved = resolve_image(home_, stored_.config, {});
    return resolved ? "" : resolved.error().to_string() + resolved.error().hints().at(0);
  }
  std::string refused_when_started() {
    auto prepared = prepare_disks(home_, stored_, Run::first);
    return prepared ? "" : prepared.error().to_string() + prepared.error().hints().at(0);
  }

  TempDir folder_ = *TempDir::create();
  state::Home home_ = *state::Home::at(folder_.path() + "/home");
  StoredConfig stored_{.config = {.name = "demo"}, .manifest_digest = {}, .layers = {}, .image = {}};
};

TEST_F(PrepareTest, a_sound_qcow2_image_is_taken) {
  make_disk();
  EXPECT_EQ(refused_when_made(), "");
  EXPECT_EQ(refused_when_started(), "");
}

TEST_F(PrepareTest, a_qcow2_image_with_snapshots_is_refused) {
  ASSERT_TRUE(run_capture({"qemu-img", "snapshot", "-c", "one", make_disk()}));
  EXPECT_THAT(refused_when_made(), HasSubstr("internal snapshots"));
  EXPECT_THAT(refused_when_started(), HasSubstr("qemu-img convert"));
}

TEST_F(PrepareTest, a_qcow2_image_that_was_not_closed_is_refused) {
  Fd disk = *open_file(make_disk(), O_RDWR);
  ASSERT_TRUE(pwrite_full(disk.get(), Bytes{1}, 79));  // the lowest incompatible feature: dirty
  EXPECT_THAT(refused_when_made(), HasSubstr("was not closed properly"));
  EXPECT_THAT(refused_when_started(), HasSubstr("qemu-img check -r all"));
}

TEST_F(PrepareTest, a_root_that_was_cut_short_is_refused) {
  make_directory();
  EXPECT_EQ(refused_when_started(), "");
  std::string image = directory_image(home_, "demo");
  ASSERT_EQ(::truncate(image.c_str(), 100), 0);
  auto prepared = prepare_disks(home_, stored_, Run::first);
  ASSERT_FALSE(prepared);
  EXPECT_EQ(prepared.error().kind(), ErrorKind::corrupt);
  EXPECT_THAT(prepared.error().to_string(), HasSubstr(image));
}

TEST_F(PrepareTest, a_root_that_grew_is_refused) {
  make_directory();
  Fd image = *open_file(directory_image(home_, "demo"), O_RDWR | O_APPEND);
  ASSERT_TRUE(write_full(image.get(), Bytes(4096)));
  EXPECT_THAT(refused_when_started(), HasSubstr("bytes instead of"));
}

}  // namespace
}  // namespace msb
