#include "agent/accounts.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/fd.h"
#include "base/temp_dir.h"

namespace msb::agent {
namespace {

constexpr std::string_view kPasswd =
    "root:x:0:0:root:/root:/bin/sh\n"
    "broken line\n"
    "nonumber:x:zero:0::/:/\n"
    "app:x:1000:1001:An app:/home/app:/bin/sh\n"
    "7000:x:55:55::/odd:/bin/sh\n"
    "short:x:9:9\n";
constexpr std::string_view kGroup =
    "root:x:0:\n"
    "app:x:1001:\n"
    "wheel:x:10:root,app\n"
    "\n"
    "docker:x:998:app\n"
    "applications:x:997:application\n";

using Groups = std::vector<gid_t>;

Identity resolve(std::string_view spec) {
  return resolve_user(spec, kPasswd, kGroup).value();
}

TEST(Accounts, an_empty_spec_is_root) {
  auto root = resolve("");
  EXPECT_EQ(root.uid, 0u);
  EXPECT_EQ(root.home, "/root");
  EXPECT_EQ(root.groups, (Groups{0, 10}));
}

TEST(Accounts, a_name_brings_its_groups_and_home) {
  auto app = resolve("app");
  EXPECT_EQ(app.uid, 1000u);
  EXPECT_EQ(app.gid, 1001u);
  EXPECT_EQ(app.groups, (Groups{1001, 10, 998}));
  EXPECT_EQ(app.home, "/home/app");
}

TEST(Accounts, a_number_in_the_file_is_that_user) {
  EXPECT_EQ(resolve("1000").groups, (Groups{1001, 10, 998}));
  EXPECT_EQ(resolve("9").home, "/");
}

TEST(Accounts, a_number_not_in_the_file_stands_for_itself) {
  auto stranger = resolve("4242");
  EXPECT_EQ(stranger.uid, 4242u);
  EXPECT_EQ(stranger.gid, 0u);
  EXPECT_EQ(stranger.groups, (Groups{0}));
  EXPECT_EQ(stranger.home, "/");
}

TEST(Accounts, a_name_made_of_digits_wins_over_the_number) {
  EXPECT_EQ(resolve("7000").uid, 55u);
}

TEST(Accounts, a_stated_group_replaces_all_others) {
  EXPECT_EQ(resolve("app:wheel").groups, (Groups{10}));
  EXPECT_EQ(resolve("app:5").gid, 5u);
  EXPECT_EQ(resolve(":wheel").gid, 10u);
  EXPECT_EQ(resolve("app:").groups, (Groups{1001, 10, 998}));
}

TEST(Accounts, unknown_names_are_errors_that_name_them) {
  auto user = resolve_user("ghost", kPasswd, kGroup);
  ASSERT_FALSE(user);
  EXPECT_NE(user.error().message().find("'ghost'"), std::string::npos);
  EXPECT_FALSE(resolve_user("app:ghosts", kPasswd, kGroup));
  EXPECT_FALSE(resolve_user("nonumber", kPasswd, kGroup));
}

// setresuid(2) takes -1 for "no change": the process would silently stay root.
TEST(Accounts, minus_one_is_refused_however_it_is_written) {
  EXPECT_FALSE(resolve_user("4294967295", kPasswd, kGroup));
  EXPECT_FALSE(resolve_user("app:4294967295", kPasswd, kGroup));
  EXPECT_FALSE(resolve_user("evil", "evil:x:4294967295:1::/:/", ""));
  EXPECT_FALSE(resolve_user("4294967296", kPasswd, kGroup));
  EXPECT_FALSE(resolve_user("-1", kPasswd, kGroup));
}

TEST(Accounts, missing_files_count_as_empty) {
  auto dir = TempDir::create().value();
  EXPECT_EQ(lookup_user("0", dir.path()).value().uid, 0u);
  EXPECT_FALSE(lookup_user("root", dir.path()));
  ASSERT_TRUE(write_file_atomic(dir.path() + "/passwd", kPasswd));
  EXPECT_EQ(lookup_user("app", dir.path()).value().uid, 1000u);
}

RC_GTEST_PROP(Accounts, no_file_makes_a_mere_number_root, (const std::string& passwd, const std::string& group)) {
  auto user = resolve_user("4242", passwd, group);
  RC_ASSERT(!user || user->uid == 4242u || passwd.find("4242") != std::string::npos);
}

}  // namespace
}  // namespace msb::agent
