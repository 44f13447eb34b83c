#include "sandbox/volumes.h"

#include <gtest/gtest.h>

#include "base/temp_dir.h"
#include "state/volumes.h"

namespace msb {
namespace {

class ResolveVolumeTest : public ::testing::Test {
 protected:
  static Mount mount(const std::string& text) { return Mount::parse_volume(text).value(); }
  Result<> resolve(Mount& mount, Resolution resolution = Resolution::first) {
    return resolve_volume(mount, home_, resolution);
  }
  TempDir directory_ = TempDir::create().value();
  state::Home home_ = state::Home::at(directory_.path()).value();
};

TEST_F(ResolveVolumeTest, MakesWhatIsNotThereAndMountsWhatIs) {
  Mount first = mount("data:/d:quota=5M");
  ASSERT_TRUE(resolve(first));
  EXPECT_EQ(first.volume_kind, VolumeKind::directory);
  EXPECT_EQ(state::find_volume(home_, "data").value()->quota_mib, 5u);
  // It says what it is, whoever asks for no more than its name.
  Mount second = mount("data:/d");
  ASSERT_TRUE(resolve(second));
  EXPECT_EQ(second.quota_mib, 5u);
  state::ShareSpec share = share_of_volume(second, home_, "0");
  EXPECT_EQ(share.path, home_.volume_data("data"));
  EXPECT_EQ(share.quota_bytes, 5u << 20);
  EXPECT_EQ(share.usage, home_.volume_usage("data"));
  ASSERT_TRUE(check_volumes(home_, {first, second}));
}

TEST_F(ResolveVolumeTest, NothingUntrueMayBeSaid) {
  Mount made = mount("data:/d");
  ASSERT_TRUE(resolve(made));
  for (const char* text : {"data:/d:quota=5M", "data:/d:kind=disk,size=64M"}) {
    Mount other = mount(text);
    auto resolved = resolve(other);
    ASSERT_FALSE(resolved) << text;
    EXPECT_EQ(resolved.error().kind(), ErrorKind::invalid_config);
  }
}

TEST_F(ResolveVolumeTest, ModesSayWhetherItMayBeThere) {
  Mount existing = mount("data:/d");
  existing.volume_mode = VolumeMode::existing;
  EXPECT_EQ(resolve(existing).error().kind(), ErrorKind::volume_not_found);
  Mount create = mount("data:/d");
  create.volume_mode = VolumeMode::create;
  ASSERT_TRUE(resolve(create));
  EXPECT_EQ(resolve(create).error().kind(), ErrorKind::volume_already_exists);
  ASSERT_TRUE(resolve(existing));
  // A start does not make anything, nor mind that it is there.
  ASSERT_TRUE(resolve(create, Resolution::again));
  Mount gone = mount("gone:/d");
  EXPECT_EQ(resolve(gone, Resolution::again).error().kind(), ErrorKind::volume_not_found);
  EXPECT_EQ(check_volumes(home_, {gone}).error().kind(), ErrorKind::volume_not_found);
}

TEST_F(ResolveVolumeTest, WhatCannotBeMadeIsRefused) {
  for (const char* text : {"data:/d:kind=disk", "data:/d:kind=disk,size=1M", "a b:/d"}) {
    auto parsed = Mount::parse_volume(text);
    if (!parsed) continue;
    auto resolved = resolve(*parsed);
    ASSERT_FALSE(resolved) << text;
    EXPECT_EQ(resolved.error().kind(), ErrorKind::invalid_config);
  }
  EXPECT_TRUE(state::volume_names(home_).empty());
}

TEST_F(ResolveVolumeTest, ADiskHasASizeAndNoOwners) {
  Mount disk = mount("disk:/d:kind=disk,size=64M");
  ASSERT_TRUE(resolve(disk));
  EXPECT_TRUE(path_exists(home_.volume_disk("disk")));
  EXPECT_EQ(disk.size_mib, 64u);
  disk.host_permissions = HostPermissions::mirror;
  EXPECT_EQ(resolve(disk).error().kind(), ErrorKind::invalid_config);
}

}  // namespace
}  // namespace msb
