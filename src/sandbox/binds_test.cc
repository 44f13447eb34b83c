#include "sandbox/binds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/fd.h"
#include "base/temp_dir.h"

namespace msb {
namespace {

using SourceType = Mount::SourceType;
using ::testing::HasSubstr;

class Binds : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"/work", "/work/sub", "/other", "/host", "/host/msb", "/host/msb/sandboxes"})
      ASSERT_EQ(::mkdir((top_ + name).c_str(), 0700), 0);
    ASSERT_TRUE(write_file_atomic(top_ + "/work/file", "x"));
    ASSERT_EQ(::symlink("work", (top_ + "/link").c_str()), 0);
    ASSERT_EQ(::mkfifo((top_ + "/fifo").c_str(), 0600), 0);
  }
  Mount bind(const std::string& source, SourceType type = SourceType::any) {
    return {.kind = Mount::Kind::bind, .target = "/x", .source = top_ + source, .source_type = type};
  }
  Result<> resolve(Mount& mount, Resolution when = Resolution::first) { return resolve_bind(mount, home_, when); }
  Error error_of(Mount mount, Resolution when = Resolution::first) { return resolve(mount, when).error(); }

  TempDir directory_ = TempDir::create().value();
  std::string top_ = std::filesystem::canonical(directory_.path()).string();
  state::Home home_ = state::Home::at(top_ + "/host/msb").value();
};

TEST_F(Binds, a_source_becomes_absolute_and_has_a_type) {
  Mount mount = bind("/link/sub/..");
  ASSERT_TRUE(resolve(mount));
  EXPECT_EQ(mount.source, top_ + "/work");
  EXPECT_EQ(mount.source_type, SourceType::directory);
  mount = bind("/link/file");
  ASSERT_TRUE(resolve(mount));
  EXPECT_EQ(mount.source, top_ + "/work/file");
  EXPECT_EQ(mount.source_type, SourceType::file);
  const auto share = share_of(mount, "3");
  EXPECT_EQ(share.name, "3");
  EXPECT_EQ(share.path, top_ + "/work");
  EXPECT_EQ(share.only, "file");
}

TEST_F(Binds, what_cannot_be_shared_is_named) {
  EXPECT_EQ(error_of(bind("/gone")).kind(), ErrorKind::path_not_found);
  EXPECT_THAT(error_of(bind("/gone")).to_string(), HasSubstr(top_ + "/gone"));
  EXPECT_EQ(error_of(bind("/work", SourceType::file)).kind(), ErrorKind::is_a_directory);
  EXPECT_EQ(error_of(bind("/work/file", SourceType::directory)).kind(), ErrorKind::not_a_directory);
  EXPECT_THAT(error_of(bind("/fifo")).to_string(), HasSubstr("neither a directory nor a regular file"));
}

TEST_F(Binds, links_are_followed_once_or_at_each_start) {
  Mount once = bind("/link"), always = bind("/link");
  always.follow_root_symlinks = true;
  ASSERT_TRUE(resolve(once));
  ASSERT_TRUE(resolve(always));
  EXPECT_EQ(always.source, top_ + "/link");
  ASSERT_EQ(::unlink((top_ + "/link").c_str()), 0);
  ASSERT_EQ(::symlink("other", (top_ + "/link").c_str()), 0);
  ASSERT_TRUE(resolve(once, Resolution::again));
  ASSERT_TRUE(resolve(always, Resolution::again));
  EXPECT_EQ(once.source, top_ + "/work");
  EXPECT_EQ(always.source, top_ + "/other");
}

TEST_F(Binds, a_link_that_came_later_is_not_followed) {
  Mount mount = bind("/work/sub");
  ASSERT_TRUE(resolve(mount));
  ASSERT_EQ(::rmdir((top_ + "/work/sub").c_str()), 0);
  ASSERT_EQ(::symlink("../other", (top_ + "/work/sub").c_str()), 0);
  EXPECT_THAT(error_of(mount, Resolution::again).to_string(), HasSubstr("symbolic link"));
}

TEST_F(Binds, a_type_that_changed_is_an_error) {
  Mount mount = bind("/work/sub");
  ASSERT_TRUE(resolve(mount));
  ASSERT_EQ(::rmdir((top_ + "/work/sub").c_str()), 0);
  ASSERT_TRUE(write_file_atomic(top_ + "/work/sub", "x"));
  EXPECT_EQ(error_of(mount, Resolution::again).kind(), ErrorKind::not_a_directory);
}

TEST_F(Binds, the_home_is_never_shared) {
  for (const char* inside : {"/host/msb", "/host/msb/sandboxes"}) {
    Mount mount = bind(inside);
    mount.read_only = true;
    EXPECT_THAT(error_of(mount).to_string(), HasSubstr("msb keeps its own files")) << inside;
  }
  EXPECT_THAT(error_of(bind("/host")).to_string(), HasSubstr("cannot be shared for writing"));
  EXPECT_THAT(error_of({.kind = Mount::Kind::bind, .target = "/x", .source = "/"}).to_string(),
              HasSubstr("cannot be shared for writing"));
  Mount readable = bind("/host");
  readable.read_only = true;
  EXPECT_TRUE(resolve(readable));
  // Beside it, and with a name that only begins like it.
  ASSERT_EQ(::mkdir((top_ + "/host/msb2").c_str(), 0700), 0);
  Mount beside = bind("/host/msb2");
  EXPECT_TRUE(resolve(beside));
}

TEST_F(Binds, what_hooks_are_is_not_shared_as_protected) {
  ASSERT_TRUE(make_dirs(top_ + "/work/.git/hooks"));
  for (const char* name : {"/work/.git", "/work/.git/hooks"}) {
    Mount mount = bind(name);
    mount.protect_hooks = true;
    EXPECT_THAT(error_of(mount).to_string(), HasSubstr("protect-hooks")) << name;
    mount.protect_hooks = false;
    EXPECT_TRUE(resolve(mount)) << name;
  }
  Mount mount = bind("/work");
  mount.protect_hooks = true;
  ASSERT_TRUE(resolve(mount));
  EXPECT_TRUE(share_of(mount, "0").protect_hooks);
}

// /proc has no attributes.
TEST_F(Binds, owners_need_attributes_to_be_kept_in) {
  Mount mount{.kind = Mount::Kind::bind, .target = "/x", .source = "/proc"};
  EXPECT_EQ(error_of(mount).kind(), ErrorKind::unsupported);
  mount.stat_virtualization = StatVirtualization::relaxed;
  EXPECT_TRUE(resolve(mount));
  mount.stat_virtualization = StatVirtualization::strict;
  mount.read_only = true;
  EXPECT_TRUE(resolve(mount));
}

TEST_F(Binds, terms_reach_the_share) {
  Mount mount = bind("/work");
  mount.stat_virtualization = StatVirtualization::off;
  mount.host_permissions = HostPermissions::mirror;
  mount.read_only = true;
  ASSERT_TRUE(resolve(mount));
  const auto share = share_of(mount, "0");
  EXPECT_EQ(share.path, top_ + "/work");
  EXPECT_EQ(share.only, "");
  EXPECT_TRUE(share.read_only);
  EXPECT_EQ(share.ownership, state::ShareSpec::Ownership::host);
  EXPECT_EQ(share.host_modes, state::ShareSpec::HostModes::mirror);
}

}  // namespace
}  // namespace msb
