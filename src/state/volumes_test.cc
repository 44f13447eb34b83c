#include "state/volumes.h"

#include <gtest/gtest.h>

#include "base/temp_dir.h"
#include "state/trash.h"

namespace msb::state {
namespace {

class VolumesTest : public ::testing::Test {
 protected:
  static Result<> leave_empty(const std::string&) { return {}; }
  TempDir directory_ = TempDir::create().value();
  Home home_ = Home::at(directory_.path()).value();
};

TEST_F(VolumesTest, AreFoundAsTheyWereMade) {
  EXPECT_FALSE(find_volume(home_, "data").value());
  EXPECT_TRUE(volume_names(home_).empty());
  VolumeRecord record{.quota_mib = 100, .labels = {{"a", "b"}}, .created_at_ms = 7};
  ASSERT_TRUE(make_volume(home_, "data", record, leave_empty).value());
  EXPECT_TRUE(path_exists(home_.volume_data("data")));
  auto found = find_volume(home_, "data").value();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->kind, VolumeRecord::Kind::directory);
  EXPECT_EQ(found->quota_mib, 100u);
  EXPECT_EQ(found->labels, record.labels);
  EXPECT_EQ(found->created_at_ms, 7);
  VolumeRecord disk{.kind = VolumeRecord::Kind::disk, .size_mib = 64};
  ASSERT_TRUE(make_volume(home_, "a-disk", disk, [](const std::string& directory) {
                return write_file_atomic(directory + "/disk.raw", "contents");
              }).value());
  EXPECT_EQ(find_volume(home_, "a-disk").value()->kind, VolumeRecord::Kind::disk);
  EXPECT_TRUE(path_exists(home_.volume_disk("a-disk")));
  EXPECT_FALSE(path_exists(home_.volume_data("a-disk")));
  EXPECT_EQ(volume_names(home_), (std::vector<std::string>{"a-disk", "data"}));
}

TEST_F(VolumesTest, OneThatIsThereStays) {
  ASSERT_TRUE(make_volume(home_, "data", {.quota_mib = 1}, leave_empty).value());
  EXPECT_FALSE(make_volume(home_, "data", {.quota_mib = 2}, leave_empty).value());
  EXPECT_EQ(find_volume(home_, "data").value()->quota_mib, 1u);
  EXPECT_TRUE(names_in(home_.trash_dir()).empty());
}

TEST_F(VolumesTest, NothingStaysOfOneThatCouldNotBeFilled) {
  auto made = make_volume(home_, "data", {}, [](const std::string&) { return Result<>(fail(ErrorKind::io, "full")); });
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message(), "full");
  EXPECT_TRUE(volume_names(home_).empty());
  EXPECT_TRUE(names_in(home_.trash_dir()).empty());
}

TEST_F(VolumesTest, ADamagedRecordIsAnErrorThatNamesIt) {
  ASSERT_TRUE(make_volume(home_, "data", {}, leave_empty).value());
  for (const char* text :
       {"", "{}", "[1]", R"({"version":2,"kind":"dir"})",
        R"({"version":1,"kind":"x","size_mib":0,"quota_mib":0,"labels":{},"created_at":0})",
        R"({"version":1,"kind":"dir","size_mib":-1,"quota_mib":0,"labels":{},"created_at":0})",
        R"({"version":1,"kind":"dir","size_mib":0,"quota_mib":0,"labels":{},"created_at":0,"x":1})"}) {
    ASSERT_TRUE(write_file_atomic(home_.volume_record("data"), text));
    auto found = find_volume(home_, "data");
    ASSERT_FALSE(found) << text;
    EXPECT_EQ(found.error().kind(), ErrorKind::corrupt);
    EXPECT_NE(found.error().message().find("volume.json"), std::string::npos);
  }
}

}  // namespace
}  // namespace msb::state
