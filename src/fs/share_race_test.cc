// What the guest asks for, while somebody on the host (another guest of the same directory, say) puts other things
// under the names it uses: directories and links to what lies outside change places all the time. Whatever a request
// then meets, it stays inside.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "base/temp_dir.h"
#include "fs/testing/fuse_guest.h"

namespace msb::fs {
namespace {

using testing::Answer;
using testing::FuseGuest;

constexpr int kRounds = 60;

class ShareRaceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(make_dirs(path("share/dir")));
    ASSERT_TRUE(make_dirs(path("outside")));
    for (const char* name : {"share/dir/file", "share/file"}) ASSERT_TRUE(write_file_atomic(path(name), "inside"));
    ASSERT_TRUE(write_file_atomic(path("outside/file"), "secret"));
    ASSERT_EQ(::chmod(path("outside/file").c_str(), 0640), 0);
    // Each name has a double that leads outside.
    ASSERT_EQ(::symlink("../outside", path("share/dir.link").c_str()), 0);
    ASSERT_EQ(::symlink("../outside/file", path("share/file.link").c_str()), 0);
    std::vector<Share> shares;
    shares.push_back({"share", open_file(path("share"), O_PATH | O_DIRECTORY).value()});
    server_ = ShareServer::create(std::move(shares)).value();
    guest_.emplace(*server_);
    ASSERT_EQ(guest_->init().error, 0);
    top_ = guest_->lookup(FUSE_ROOT_ID, "share").node();
  }
  std::string path(const std::string& name) const { return directory_.path() + "/" + name; }

  // The host's side, until the guest's rounds are over.
  template <class Round>
  void while_names_change(Round&& round) {
    std::atomic<bool> stop = false;
    std::thread host([&] {
      // Yields: one that held the directory's lock all the time would only starve the guest.
      for (; !stop; std::this_thread::yield())
        for (const char* name : {"share/dir", "share/file"})
          (void)::renameat2(AT_FDCWD, path(name).c_str(), AT_FDCWD, path(cat(name, ".link")).c_str(), RENAME_EXCHANGE);
    });
    for (int i = 0; i < kRounds; ++i) round(i);
    stop = true;
    host.join();
  }
  void expect_outside_as_it_was() {
    EXPECT_EQ(read_file(path("outside/file")).value_or("none"), "secret");
    struct stat status{};
    ASSERT_EQ(::stat(path("outside/file").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0640u);
    EXPECT_EQ(status.st_nlink, 1u);
    const std::filesystem::directory_iterator outside(path("outside"));
    EXPECT_EQ(std::distance(begin(outside), end(outside)), 1);
  }
  // What is read by that name, or nothing.
  std::string text_of(uint64_t directory, std::string_view name) {
    Answer found = guest_->lookup(directory, name);
    if (found.error || found.node() == 0) return "";
    const uint64_t node = found.node();
    std::string text;
    if (Answer opened = guest_->open(node, O_RDONLY); opened.error == 0) {
      const uint64_t handle = opened.as<fuse_open_out>().fh;
      text = guest_->read(node, handle, 0, 100).text();
      guest_->release(node, handle);
    }
    guest_->forget(node);
    return text;
  }

  TempDir directory_ = TempDir::create().value();
  std::unique_ptr<ShareServer> server_;
  std::optional<FuseGuest> guest_;
  uint64_t top_ = 0;
};

TEST_F(ShareRaceTest, NothingOutsideIsRead) {
  int read = 0;
  while_names_change([&](int) {
    Answer directory = guest_->lookup(top_, "dir");
    ASSERT_EQ(directory.error, 0);
    for (const std::string& text : {text_of(top_, "file"), text_of(directory.node(), "file")}) {
      EXPECT_TRUE(text.empty() || text == "inside") << text;
      read += text == "inside";
    }
    guest_->forget(directory.node());
  });
  EXPECT_GT(read, 0);
  EXPECT_EQ(server_->nodes(), 2u);  // all let go, but the root and the share
  EXPECT_EQ(server_->handles(), 0u);
}

TEST_F(ShareRaceTest, NothingOutsideIsChanged) {
  int made = 0;
  while_names_change([&](int round) {
    Answer directory = guest_->lookup(top_, "dir"), file = guest_->lookup(top_, "file");
    ASSERT_EQ(directory.error, 0);
    ASSERT_EQ(file.error, 0);
    const std::string name = cat("new", round);
    Answer created = guest_->create(directory.node(), name);
    if (created.error == 0) {
      ++made;
      guest_->write(created.node(), FuseGuest::handle_of(created), 0, "guest");
      guest_->release(created.node(), FuseGuest::handle_of(created));
      guest_->forget(created.node());
      guest_->unlink(directory.node(), name);
    }
    guest_->mkdir(directory.node(), name);
    guest_->rmdir(directory.node(), name);
    guest_->chmod(file.node(), 0777);
    guest_->setxattr(file.node(), "user.mark", "guest");
    if (Answer linked = guest_->link(file.node(), top_, name); linked.error == 0) {
      guest_->forget(linked.node());
      guest_->unlink(top_, name);
    }
    guest_->create(top_, "file", 0644, O_RDWR | O_TRUNC);
    fuse_setattr_in shorter{};
    shorter.valid = FATTR_SIZE;
    guest_->setattr(file.node(), shorter);
    guest_->rename(top_, "file", directory.node(), "moved");
    guest_->rename(directory.node(), "moved", top_, "file");
    guest_->forget(directory.node());
    guest_->forget(file.node());
  });
  EXPECT_GT(made, 0);
  expect_outside_as_it_was();
}

TEST_F(ShareRaceTest, ListingsAreOfTheShare) {
  while_names_change([&](int round) {
    Answer directory = guest_->lookup(top_, "dir");
    ASSERT_EQ(directory.error, 0);
    if (S_ISDIR(directory.as<fuse_entry_out>().attr.mode)) {
      const auto names = guest_->list(directory.node(), round % 2 ? FUSE_READDIR : FUSE_READDIRPLUS);
      EXPECT_EQ(names.size(), 3u);
    }
    (void)guest_->list(top_, FUSE_READDIRPLUS);
    guest_->forget(directory.node());
  });
  EXPECT_EQ(server_->nodes(), 2u);
  expect_outside_as_it_was();
}

}  // namespace
}  // namespace msb::fs
