#include "fs/open_share.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/temp_dir.h"

namespace msb::fs {
namespace {

using state::ShareSpec;
using ::testing::HasSubstr;

class OpenShare : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::mkdir((path_ + "/dir").c_str(), 0700), 0);
    ASSERT_TRUE(write_file_atomic(path_ + "/dir/file", "x"));
    ASSERT_EQ(::symlink("dir", (path_ + "/link").c_str()), 0);
    ASSERT_EQ(::symlink("file", (path_ + "/dir/to-file").c_str()), 0);
  }
  Result<Share> open(const std::string& name, const std::string& only = "") {
    ShareSpec spec;
    spec.name = "0";
    spec.path = path_ + name;
    spec.only = only;
    return open_share(spec);
  }
  TempDir directory_ = TempDir::create().value();
  // The directory for temporary files may itself lie behind a link.
  std::string path_ =
      std::unique_ptr<char, decltype(&::free)>(::realpath(directory_.path().c_str(), nullptr), ::free).get();
};

TEST_F(OpenShare, opens_directories_and_files_in_them) {
  auto share = open("/dir", "file");
  ASSERT_TRUE(share) << share.error().to_string();
  EXPECT_EQ(share->name, "0");
  EXPECT_EQ(share->options.only, "file");
  struct stat opened{}, there{};
  ASSERT_EQ(::fstat(share->root.get(), &opened), 0);
  ASSERT_EQ(::stat((path_ + "/dir").c_str(), &there), 0);
  EXPECT_EQ(opened.st_ino, there.st_ino);
  EXPECT_TRUE(open("/dir/"));
}

TEST_F(OpenShare, follows_no_link) {
  EXPECT_THAT(open("/link").error().to_string(), HasSubstr("'link' in it is not a directory"));
  EXPECT_EQ(open("/link").error().kind(), ErrorKind::invalid_config);
  EXPECT_FALSE(open("/link/../dir"));
  EXPECT_FALSE(open("/dir/../dir"));
  EXPECT_THAT(open("/dir", "to-file").error().to_string(), HasSubstr("not a regular file"));
}

TEST_F(OpenShare, what_is_gone_is_named) {
  EXPECT_EQ(open("/gone").error().kind(), ErrorKind::path_not_found);
  EXPECT_THAT(open("/gone").error().to_string(), HasSubstr(path_ + "/gone"));
  EXPECT_EQ(open("/dir", "gone").error().kind(), ErrorKind::path_not_found);
  EXPECT_THAT(open("/dir", "gone").error().to_string(), HasSubstr("/dir/gone"));
  EXPECT_FALSE(open("/dir", "../dir"));
  ShareSpec relative;
  relative.name = "0";
  relative.path = "dir";
  EXPECT_FALSE(open_share(relative));
}

TEST_F(OpenShare, a_quota_is_its_own_or_of_a_volume) {
  EXPECT_FALSE(open("/dir")->quota);
  ShareSpec spec;
  spec.name = "0";
  spec.path = path_ + "/dir";
  spec.quota_bytes = 1 << 20;
  auto own = open_share(spec);
  ASSERT_TRUE(own && own->quota);
  EXPECT_EQ(own->quota->used(), 0u);
  spec.usage = path_ + "/usage";
  auto shared = open_share(spec);
  ASSERT_TRUE(shared && shared->quota);
  EXPECT_GT(shared->quota->used(), 0u);
}

TEST_F(OpenShare, carries_the_terms) {
  ShareSpec spec;
  EXPECT_EQ(options_of(spec).writable, Writable::yes);
  EXPECT_EQ(options_of(spec).ownership, Ownership::strict);
  EXPECT_EQ(options_of(spec).host_modes, HostModes::private_);
  spec.read_only = true;
  spec.ownership = ShareSpec::Ownership::relaxed;
  spec.host_modes = ShareSpec::HostModes::mirror;
  EXPECT_EQ(options_of(spec).writable, Writable::no);
  EXPECT_EQ(options_of(spec).ownership, Ownership::relaxed);
  EXPECT_EQ(options_of(spec).host_modes, HostModes::mirror);
  spec.ownership = ShareSpec::Ownership::host;
  EXPECT_EQ(options_of(spec).ownership, Ownership::host);
}

}  // namespace
}  // namespace msb::fs
