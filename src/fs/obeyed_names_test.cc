#include "fs/obeyed_names.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/temp_dir.h"
#include "fs/testing/fuse_guest.h"

namespace msb::fs {
namespace {

using testing::FuseGuest;

TEST(ObeyedNames, what_git_and_editors_run) {
  for (const char* path : {".git", "a/b/.git", ".git/hooks", ".git/hooks/pre-commit", ".git/config", ".git/config.lock",
                           ".git/config.worktree", ".git/commondir", ".git/modules/sub/config",
                           ".git/worktrees/x/gitdir", ".GIT/Config", ".Git/HOOKS/x", "git~1/config", ".husky/pre-push",
                           ".vscode/tasks.json", "deep/.idea/x", ".envrc", ".mcp.json", ".git/refs/.git/config"})
    EXPECT_TRUE(is_obeyed(path)) << path;
}

TEST(ObeyedNames, what_work_in_a_repository_needs) {
  for (const char* path : {"",
                           "a",
                           ".git/HEAD",
                           ".git/index",
                           ".git/index.lock",
                           ".git/objects/ab/cd",
                           ".git/refs/heads/config",
                           ".git/refs/heads/hooks/x",
                           ".git/COMMIT_EDITMSG",
                           ".git/logs/HEAD",
                           ".gitignore",
                           ".gitmodules",
                           ".github/x",
                           "hooks/x",
                           "config",
                           "a/hooks",
                           ".gitx/config",
                           "x.git/config",
                           ".vscodes",
                           ".envrc.example"})
    EXPECT_FALSE(is_obeyed(path)) << path;
}

constexpr uint64_t kTop = FUSE_ROOT_ID + 1;

class Protected : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"/.git", "/.git/hooks", "/.git/refs", "/plain", "/plain/hooks"})
      ASSERT_TRUE(make_dirs(directory_.path() + name));
    for (const char* name : {"/.git/config", "/.git/HEAD", "/.git/hooks/old", "/file", "/plain/hooks/new"})
      ASSERT_TRUE(write_file_atomic(directory_.path() + name, "as it was"));
    std::vector<Share> shares;
    shares.push_back({"share", open_file(directory_.path(), O_PATH | O_DIRECTORY).value(), {.protect_hooks = true}});
    server_ = std::move(*ShareServer::create(std::move(shares)));
    guest_.emplace(*server_);
    ASSERT_EQ(guest_->init().error, 0);
    ASSERT_EQ(node(FUSE_ROOT_ID, "share"), kTop);
    git_ = node(kTop, ".git");
    hooks_ = node(git_, "hooks");
    refs_ = node(git_, "refs");
    plain_ = node(kTop, "plain");
  }
  uint64_t node(uint64_t directory, std::string_view name) { return guest_->lookup(directory, name).node(); }
  std::string text(const std::string& name) { return read_file(directory_.path() + name).value_or("none"); }

  TempDir directory_ = TempDir::create().value();
  std::unique_ptr<ShareServer> server_;
  std::optional<FuseGuest> guest_;
  uint64_t git_ = 0, hooks_ = 0, refs_ = 0, plain_ = 0;
};

TEST_F(Protected, nothing_is_made_there) {
  EXPECT_EQ(guest_->create(hooks_, "post-commit").error, EPERM);
  EXPECT_EQ(guest_->create(git_, "config.lock").error, EPERM);
  EXPECT_EQ(guest_->create(git_, "Config.Worktree").error, EPERM);
  EXPECT_EQ(guest_->mkdir(hooks_, "d").error, EPERM);
  EXPECT_EQ(guest_->mkdir(plain_, ".git").error, EPERM);
  EXPECT_EQ(guest_->mkdir(plain_, ".VSCode").error, EPERM);
  EXPECT_EQ(guest_->mknod(hooks_, "f", S_IFREG | 0755).error, EPERM);
  EXPECT_EQ(guest_->symlink(git_, "commondir", "../plain").error, EPERM);
  EXPECT_EQ(guest_->symlink(plain_, ".git", "../plain").error, EPERM);
  EXPECT_EQ(guest_->link(node(kTop, "file"), hooks_, "pre-push").error, EPERM);
}

TEST_F(Protected, nothing_there_is_changed) {
  const uint64_t config = node(git_, "config"), hook = node(hooks_, "old");
  EXPECT_EQ(guest_->open(config, O_WRONLY).error, EPERM);
  EXPECT_EQ(guest_->open(config, O_RDWR).error, EPERM);
  EXPECT_EQ(guest_->open(config, O_RDONLY | O_TRUNC).error, EPERM);
  EXPECT_EQ(guest_->chmod(hook, 0755).error, EPERM);
  EXPECT_EQ(guest_->chmod(hooks_, 0777).error, EPERM);
  EXPECT_EQ(guest_->unlink(git_, "config").error, EPERM);
  EXPECT_EQ(guest_->unlink(hooks_, "old").error, EPERM);
  // By another name, it would be the same file.
  EXPECT_EQ(guest_->link(config, kTop, "alias").error, EPERM);
  EXPECT_EQ(guest_->open(config, O_RDONLY).error, 0);
  EXPECT_EQ(text("/.git/config"), "as it was");
}

TEST_F(Protected, nothing_is_moved_there_or_away) {
  EXPECT_EQ(guest_->rename(kTop, "file", git_, "config").error, EPERM);
  EXPECT_EQ(guest_->rename(git_, "config", kTop, "mine").error, EPERM);
  EXPECT_EQ(guest_->rename(kTop, "file", git_, "config", RENAME_EXCHANGE).error, EPERM);
  EXPECT_EQ(guest_->rename(git_, "hooks", git_, "none").error, EPERM);
  EXPECT_EQ(guest_->rename(plain_, "hooks", git_, "hooks").error, EPERM);
  EXPECT_EQ(guest_->rename(plain_, "hooks", git_, "modules").error, EPERM);
  EXPECT_EQ(guest_->rename(kTop, ".git", kTop, "old").error, EPERM);
  EXPECT_EQ(guest_->rename(kTop, "plain", kTop, ".Git").error, EPERM);
  EXPECT_EQ(guest_->rename(kTop, "plain", kTop, ".git", RENAME_EXCHANGE).error, EPERM);
  EXPECT_EQ(text("/.git/hooks/old"), "as it was");
}

TEST_F(Protected, the_rest_is_as_ever) {
  EXPECT_EQ(guest_->create(git_, "index.lock").error, 0);
  EXPECT_EQ(guest_->rename(git_, "index.lock", git_, "index").error, 0);
  EXPECT_EQ(guest_->mkdir(refs_, "hooks").error, 0);
  EXPECT_EQ(guest_->create(refs_, "config").error, 0);
  EXPECT_EQ(guest_->open(node(git_, "HEAD"), O_WRONLY | O_TRUNC).error, 0);
  EXPECT_EQ(guest_->rename(kTop, "plain", kTop, "moved").error, 0);
  EXPECT_EQ(guest_->link(node(kTop, "file"), kTop, "second").error, 0);
}

// The repository moves with the directory it is in, and stays protected.
TEST_F(Protected, a_directory_above_may_be_moved) {
  ASSERT_TRUE(make_dirs(directory_.path() + "/project/.git/hooks"));
  const uint64_t project = node(kTop, "project");
  const uint64_t hooks = node(node(project, ".git"), "hooks");
  EXPECT_EQ(guest_->rename(kTop, "project", kTop, "renamed").error, 0);
  EXPECT_EQ(guest_->create(hooks, "post-commit").error, EPERM);
}

}  // namespace
}  // namespace msb::fs
