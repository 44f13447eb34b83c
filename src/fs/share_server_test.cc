#include "fs/share_server.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>

#include "base/temp_dir.h"
#include "fs/testing/fuse_guest.h"

namespace msb::fs {
namespace {

using testing::Answer;
using testing::bytes_of;
using testing::FuseGuest;
using testing::join;
using testing::name_bytes;
using ::testing::UnorderedElementsAre;
// The share, the first node of every session.
constexpr uint64_t kTop = FUSE_ROOT_ID + 1;

class ShareServerTest : public ::testing::Test {
 protected:
  void SetUp() override { serve(ShareOptions{}); }
  void serve(ShareOptions options, const ShareServer::Options& bounds = {}) {
    std::vector<Share> shares;
    shares.push_back(share("share", std::move(options)));
    serve(std::move(shares), bounds);
    ASSERT_EQ(guest_->lookup(FUSE_ROOT_ID, "share").node(), kTop);
  }
  void serve(std::vector<Share> shares, const ShareServer::Options& bounds = {}) {
    auto server = ShareServer::create(std::move(shares), bounds);
    ASSERT_TRUE(server) << server.error().to_string();
    server_ = std::move(*server);
    guest_.emplace(*server_);
    ASSERT_EQ(guest_->init().error, 0);
  }
  Share share(const std::string& name, ShareOptions options = {}) const {
    return {name, open_file(shared(), O_PATH | O_DIRECTORY).value(), std::move(options)};
  }
  std::string shared(const std::string& name = {}) const {
    return directory_.path() + "/share" + (name.empty() ? "" : "/" + name);
  }
  void put(const std::string& name, const std::string& text = "text") {
    ASSERT_TRUE(write_file_atomic(shared(name), text));
  }
  std::string host_text(const std::string& name) const { return read_file(shared(name)).value_or("none"); }
  uint32_t host_mode(const std::string& name) const {
    struct stat status{};
    EXPECT_EQ(::lstat(shared(name).c_str(), &status), 0);
    return status.st_mode;
  }

  TempDir directory_ = [] {
    auto directory = TempDir::create().value();
    EXPECT_TRUE(make_dirs(directory.path() + "/share"));
    EXPECT_TRUE(write_file_atomic(directory.path() + "/secret", "secret"));
    return directory;
  }();
  std::unique_ptr<ShareServer> server_;
  std::optional<FuseGuest> guest_;
};

TEST_F(ShareServerTest, ReadsAndWritesFiles) {
  Answer made = guest_->create(kTop, "a");
  ASSERT_EQ(made.error, 0);
  const uint64_t node = made.node(), handle = FuseGuest::handle_of(made);
  EXPECT_EQ(guest_->write(node, handle, 0, "hello world").as<fuse_write_out>().size, 11u);
  EXPECT_EQ(guest_->write(node, handle, 6, "there").error, 0);
  EXPECT_EQ(guest_->read(node, handle, 0, 100).text(), "hello there");
  EXPECT_EQ(guest_->read(node, handle, 6, 2).text(), "th");
  EXPECT_EQ(guest_->read(node, handle, 100, 10).text(), "");
  EXPECT_EQ(host_text("a"), "hello there");
  EXPECT_EQ(guest_->attributes(node).size, 11u);
  EXPECT_EQ(guest_->release(node, handle).error, 0);
  EXPECT_EQ(guest_->read(node, handle, 0, 1).error, EBADF);
  EXPECT_EQ(server_->handles(), 0u);
}

TEST_F(ShareServerTest, AppendsAtTheEndTheHostSees) {
  Answer made = guest_->create(kTop, "a", 0644, O_RDWR | O_APPEND);
  const uint64_t node = made.node(), handle = FuseGuest::handle_of(made);
  ASSERT_EQ(guest_->write(node, handle, 0, "one", O_APPEND).error, 0);
  ASSERT_EQ(guest_->write(node, handle, 0, "two", O_APPEND).error, 0);
  EXPECT_EQ(host_text("a"), "onetwo");
  // A page of a mapping goes where it belongs, whatever the file was opened with.
  ASSERT_EQ(guest_->write(node, handle, 0, "ONE", O_APPEND, FUSE_WRITE_CACHE).error, 0);
  EXPECT_EQ(host_text("a"), "ONEtwo");
}

TEST_F(ShareServerTest, AMebibyteInOneRequest) {
  const std::string data(kMaxData, 'x');
  Answer made = guest_->create(kTop, "a");
  EXPECT_EQ(guest_->write(made.node(), FuseGuest::handle_of(made), 0, data).as<fuse_write_out>().size, kMaxData);
  EXPECT_EQ(guest_->read(made.node(), FuseGuest::handle_of(made), 0, kMaxData).text(), data);
  EXPECT_EQ(guest_->write(made.node(), FuseGuest::handle_of(made), 0, data + "x").error, EINVAL);
}

TEST_F(ShareServerTest, AFileOpenedPastTheCacheIsTheSameFile) {
  const std::string data(kMaxData, 'x');
  Answer made = guest_->create(kTop, "a", 0644, O_RDWR | O_DIRECT);
  ASSERT_EQ(made.error, 0);
  const uint64_t node = made.node(), handle = FuseGuest::handle_of(made);
  EXPECT_EQ(guest_->write(node, handle, 0, data).as<fuse_write_out>().size, kMaxData);
  EXPECT_EQ(guest_->write(node, handle, 3, "yz").error, 0);
  EXPECT_EQ(guest_->read(node, handle, 0, kMaxData).text(), "xxxyz" + data.substr(5));
  EXPECT_EQ(host_text("a"), "xxxyz" + data.substr(5));
  ASSERT_EQ(guest_->release(node, handle).error, 0);
  const uint64_t again = guest_->open(node, O_RDONLY | O_DIRECT).as<fuse_open_out>().fh;
  EXPECT_EQ(guest_->read(node, again, 0, 5).text(), "xxxyz");
  EXPECT_EQ(guest_->release(node, again).error, 0);
  EXPECT_EQ(server_->handles(), 0u);
}

TEST_F(ShareServerTest, LooksUpWhatIsThereAndSaysForHowLong) {
  put("a");
  auto entry = guest_->lookup(kTop, "a").as<fuse_entry_out>();
  EXPECT_GT(entry.nodeid, kTop);
  EXPECT_EQ(entry.attr.mode, S_IFREG | 0644u);
  EXPECT_EQ(entry.entry_valid, 1u);
  // A name that is not there can be trusted as long.
  Answer none = guest_->lookup(kTop, "b");
  EXPECT_EQ(none.error, 0);
  EXPECT_EQ(none.node(), 0u);
  EXPECT_EQ(guest_->lookup(entry.nodeid, "x").error, ENOTDIR);
}

TEST_F(ShareServerTest, NamesThatAreNoNamesAreRefused) {
  put("a");
  for (const char* name : {"", ".", "..", "/", "a/b", "../secret", "/etc/passwd"}) {
    EXPECT_EQ(guest_->lookup(kTop, name).error, EINVAL) << name;
    EXPECT_EQ(guest_->create(kTop, name).error, EINVAL) << name;
    EXPECT_EQ(guest_->mkdir(kTop, name).error, EINVAL) << name;
    EXPECT_EQ(guest_->unlink(kTop, name).error, EINVAL) << name;
    EXPECT_EQ(guest_->symlink(kTop, name, "x").error, EINVAL) << name;
    EXPECT_EQ(guest_->rename(kTop, "a", kTop, name).error, EINVAL) << name;
    EXPECT_EQ(guest_->rename(kTop, name, kTop, "b").error, EINVAL) << name;
    EXPECT_EQ(guest_->link(guest_->lookup(kTop, "a").node(), kTop, name).error, EINVAL) << name;
  }
  // Without a terminator.
  EXPECT_EQ(guest_->call(FUSE_LOOKUP, kTop, to_bytes("a")).error, EINVAL);
}

TEST_F(ShareServerTest, NamesTooLongForTheDirectoryAreSaidToBe) {
  put("a");
  const uint64_t file = guest_->lookup(kTop, "a").node();
  for (const size_t size : {size_t{256}, size_t{5000}, size_t{70000}}) {
    const std::string name(size, 'n');
    EXPECT_EQ(guest_->lookup(kTop, name).error, ENAMETOOLONG) << size;
    EXPECT_EQ(guest_->create(kTop, name).error, ENAMETOOLONG) << size;
    EXPECT_EQ(guest_->mkdir(kTop, name).error, ENAMETOOLONG) << size;
    EXPECT_EQ(guest_->unlink(kTop, name).error, ENAMETOOLONG) << size;
    EXPECT_EQ(guest_->symlink(kTop, name, "x").error, ENAMETOOLONG) << size;
    EXPECT_EQ(guest_->rename(kTop, "a", kTop, name).error, ENAMETOOLONG) << size;
    EXPECT_EQ(guest_->rename(kTop, name, kTop, "b").error, ENAMETOOLONG) << size;
    EXPECT_EQ(guest_->link(file, kTop, name).error, ENAMETOOLONG) << size;
  }
}

TEST_F(ShareServerTest, NoSymlinkIsFollowed) {
  ASSERT_EQ(::symlink("../secret", shared("out").c_str()), 0);
  ASSERT_EQ(::symlink("..", shared("up").c_str()), 0);
  const uint64_t link = guest_->lookup(kTop, "out").node();
  EXPECT_EQ(guest_->attributes(link).mode & S_IFMT, uint32_t{S_IFLNK});
  EXPECT_EQ(guest_->call(FUSE_READLINK, link).text(), "../secret");
  EXPECT_NE(guest_->open(link, O_RDONLY).error, 0);
  EXPECT_NE(guest_->create(kTop, "out").error, 0);
  const uint64_t up = guest_->lookup(kTop, "up").node();
  EXPECT_NE(guest_->lookup(up, "secret").error, 0);
  EXPECT_NE(guest_->create(up, "evil").error, 0);
  EXPECT_NE(guest_->call(FUSE_OPENDIR, up, bytes_of(fuse_open_in{})).error, 0);
  // chmod and attributes stay with the link, too.
  EXPECT_EQ(guest_->chmod(link, 0777).error, 0);
  struct stat status{};
  ASSERT_EQ(::stat((directory_.path() + "/secret").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0644u);
}

TEST_F(ShareServerTest, ADirectoryThatBecomesASymlinkLeadsNowhere) {
  ASSERT_TRUE(make_dirs(shared("d")));
  const uint64_t node = guest_->lookup(kTop, "d").node();
  ASSERT_EQ(::rename(shared("d").c_str(), shared("moved").c_str()), 0);
  ASSERT_EQ(::symlink("..", shared("d").c_str()), 0);
  // The node is the directory it was.
  EXPECT_EQ(guest_->create(node, "new").error, 0);
  EXPECT_EQ(host_text("moved/new"), "");
  EXPECT_FALSE(path_exists(directory_.path() + "/new"));
}

TEST_F(ShareServerTest, SpecialFilesOfTheHostAreShownButNeverOpened) {
  ASSERT_EQ(::mkfifo(shared("fifo").c_str(), 0666), 0);
  const uint64_t node = guest_->lookup(kTop, "fifo").node();
  EXPECT_EQ(guest_->attributes(node).mode & S_IFMT, uint32_t{S_IFIFO});
  EXPECT_EQ(guest_->open(node, O_RDONLY).error, ENXIO);
  EXPECT_EQ(guest_->create(kTop, "fifo").error, ENXIO);
}

TEST_F(ShareServerTest, WhatTheGuestDoesNotHoldIsStale) {
  put("a");
  const uint64_t node = guest_->lookup(kTop, "a").node();
  ASSERT_EQ(guest_->lookup(kTop, "a").node(), node);
  guest_->forget(node);
  EXPECT_EQ(guest_->open(node, O_RDONLY).error, 0);
  guest_->forget(node, 1'000'000);
  EXPECT_EQ(guest_->open(node, O_RDONLY).error, ESTALE);
  EXPECT_EQ(guest_->lookup(kTop, "a").node(), node + 1);
  guest_->forget(FUSE_ROOT_ID, UINT64_MAX);
  EXPECT_EQ(guest_->lookup(FUSE_ROOT_ID, "share").error, 0);
  EXPECT_EQ(guest_->lookup(12345, "a").error, ESTALE);
}

TEST_F(ShareServerTest, HandlesBelongToTheirNode) {
  put("a");
  put("b");
  const uint64_t a = guest_->lookup(kTop, "a").node(), b = guest_->lookup(kTop, "b").node();
  const uint64_t handle = guest_->open(a, O_RDONLY).as<fuse_open_out>().fh;
  EXPECT_EQ(guest_->read(b, handle, 0, 4).error, EBADF);
  EXPECT_EQ(guest_->release(a, handle, FUSE_RELEASEDIR).error, EBADF);
  EXPECT_EQ(guest_->write(a, handle, 0, "x").error, EBADF) << "it was opened for reading";
  EXPECT_EQ(guest_->read(a, handle, 0, 4).text(), "text");
}

TEST_F(ShareServerTest, OwnerAndModeAreNoted) {
  guest_->uid = 1000;
  guest_->gid = 100;
  const uint64_t node = guest_->create(kTop, "a", 0640).node();
  EXPECT_EQ(guest_->attributes(node).uid, 1000u);
  EXPECT_EQ(guest_->attributes(node).gid, 100u);
  ASSERT_EQ(guest_->chown(node, 33, 44).error, 0);
  ASSERT_EQ(guest_->chmod(node, 04750).error, 0);
  EXPECT_EQ(guest_->attributes(node).mode, S_IFREG | 04750u);
  EXPECT_EQ(guest_->attributes(node).uid, 33u);
  // The host sees no set-id bit and its own user.
  EXPECT_EQ(host_mode("a"), S_IFREG | 0750u);
  // A new session finds it.
  serve(ShareOptions{});
  const auto attributes = guest_->lookup(kTop, "a").as<fuse_entry_out>().attr;
  EXPECT_EQ(attributes.mode, S_IFREG | 04750u);
  EXPECT_EQ(attributes.uid, 33u);
  EXPECT_EQ(attributes.gid, 44u);
}

TEST_F(ShareServerTest, WhatNeedsNoNoteHasNone) {
  guest_->uid = ::geteuid();
  guest_->gid = ::getegid();
  guest_->create(kTop, "a", 0644);
  guest_->mkdir(kTop, "d", 0755);
  EXPECT_EQ(::getxattr(shared("a").c_str(), kOwnerRecordName, nullptr, 0), -1);
  EXPECT_EQ(::getxattr(shared("d").c_str(), kOwnerRecordName, nullptr, 0), -1);
}

TEST_F(ShareServerTest, AFileWithoutRightsInTheGuestCanStillBeServed) {
  Answer made = guest_->create(kTop, "a", 0000);
  EXPECT_EQ(guest_->attributes(made.node()).mode, uint32_t{S_IFREG});
  EXPECT_EQ(host_mode("a"), S_IFREG | 0600u);
  EXPECT_EQ(guest_->open(made.node(), O_RDWR).error, 0);
}

TEST_F(ShareServerTest, PrivateModesKeepTheHostsOthersOut) {
  ShareOptions options;
  options.host_modes = HostModes::private_;
  serve(options);
  guest_->create(kTop, "a", 0644);
  guest_->create(kTop, "x", 0755);
  guest_->mkdir(kTop, "d", 0777);
  EXPECT_EQ(host_mode("a"), S_IFREG | 0600u);
  EXPECT_EQ(host_mode("x"), S_IFREG | 0700u);
  EXPECT_EQ(host_mode("d"), S_IFDIR | 0700u);
  EXPECT_EQ(guest_->attributes(guest_->lookup(kTop, "a").node()).mode, S_IFREG | 0644u);
}

TEST_F(ShareServerTest, SpecialFilesOfTheGuestAreNotes) {
  const uint64_t node = guest_->mknod(kTop, "null", S_IFCHR | 0666, 0x103).node();
  EXPECT_EQ(guest_->attributes(node).mode, S_IFCHR | 0666u);
  EXPECT_EQ(guest_->attributes(node).rdev, 0x103u);
  EXPECT_EQ(host_mode("null"), S_IFREG | 0666u);
  EXPECT_EQ(guest_->attributes(guest_->mknod(kTop, "pipe", S_IFIFO | 0600).node()).mode, S_IFIFO | 0600u);
  EXPECT_EQ(guest_->mknod(kTop, "dir", S_IFDIR | 0600).error, EINVAL);
}

TEST_F(ShareServerTest, NewFilesFollowTheSetGroupBitOfTheirDirectory) {
  const uint64_t directory = guest_->mkdir(kTop, "d").node();
  ASSERT_EQ(guest_->chown(directory, 0, 55).error, 0);
  ASSERT_EQ(guest_->chmod(directory, 02775).error, 0);
  EXPECT_EQ(guest_->attributes(guest_->create(directory, "a").node()).gid, 55u);
  const auto below = guest_->attributes(guest_->mkdir(directory, "e").node());
  EXPECT_EQ(below.gid, 55u);
  EXPECT_EQ(below.mode, S_IFDIR | 02755u);
}

TEST_F(ShareServerTest, ChangesNames) {
  put("a", "1");
  put("b", "2");
  const uint64_t directory = guest_->mkdir(kTop, "d").node();
  EXPECT_EQ(guest_->rename(kTop, "a", kTop, "b", 1 /* RENAME_NOREPLACE */).error, EEXIST);
  EXPECT_EQ(guest_->rename(kTop, "a", directory, "c").error, 0);
  EXPECT_EQ(host_text("d/c"), "1");
  EXPECT_EQ(guest_->rename(directory, "c", kTop, "b", 2 /* RENAME_EXCHANGE */).error, 0);
  EXPECT_EQ(host_text("b"), "1");
  EXPECT_EQ(guest_->rename(directory, "c", kTop, "w", 4 /* RENAME_WHITEOUT */).error, EINVAL);
  EXPECT_EQ(guest_->rmdir(kTop, "d").error, ENOTEMPTY);
  EXPECT_EQ(guest_->unlink(directory, "c").error, 0);
  EXPECT_EQ(guest_->rmdir(kTop, "d").error, 0);
  EXPECT_EQ(guest_->create(directory, "x").error, ENOENT) << "the directory is gone";
}

TEST_F(ShareServerTest, HardLinksAreOneNode) {
  put("a");
  const uint64_t node = guest_->lookup(kTop, "a").node();
  Answer linked = guest_->link(node, kTop, "b");
  EXPECT_EQ(linked.node(), node);
  EXPECT_EQ(linked.as<fuse_entry_out>().attr.nlink, 2u);
  ASSERT_EQ(guest_->symlink(kTop, "s", "a").error, 0);
  EXPECT_EQ(guest_->link(guest_->lookup(kTop, "s").node(), kTop, "s2").error, 0);
  EXPECT_EQ(host_mode("s2") & S_IFMT, uint32_t{S_IFLNK});
}

TEST_F(ShareServerTest, ANamelessFileCanBeGivenAName) {
  fuse_create_in in{};
  in.flags = O_RDWR;
  in.mode = S_IFREG | 0600;
  Answer made = guest_->call(FUSE_TMPFILE, kTop, join({bytes_of(in), name_bytes("")}));
  ASSERT_EQ(made.error, 0);
  EXPECT_EQ(guest_->write(made.node(), FuseGuest::handle_of(made), 0, "x").error, 0);
  EXPECT_THAT(guest_->list(kTop), UnorderedElementsAre(".", ".."));
  EXPECT_EQ(guest_->link(made.node(), kTop, "named").error, 0);
  EXPECT_EQ(host_text("named"), "x");
}

TEST_F(ShareServerTest, ListsDirectoriesOfAnySizeInPartsOfAnySize) {
  std::vector<std::string> expected = {".", ".."};
  for (int i = 0; i < 700; ++i) {
    expected.push_back(cat("file-", i, std::string(static_cast<size_t>(i % 40), 'n')));
    put(expected.back());
  }
  std::ranges::sort(expected);
  for (uint32_t opcode : {FUSE_READDIR, FUSE_READDIRPLUS}) {
    for (uint32_t size : {300u, 4096u, 65536u}) {
      auto names = guest_->list(kTop, opcode, size);
      std::ranges::sort(names);
      EXPECT_EQ(names, expected) << opcode << " " << size;
    }
  }
  EXPECT_EQ(server_->nodes(), 2u) << "every entry was held once and let go once";
}

TEST_F(ShareServerTest, AReadOnlyShareRefusesEveryChange) {
  put("a");
  ASSERT_TRUE(make_dirs(shared("d")));
  ShareOptions options;
  options.writable = Writable::no;
  serve(options);
  const uint64_t node = guest_->lookup(kTop, "a").node();
  EXPECT_EQ(guest_->open(node, O_RDONLY).error, 0);
  for (uint32_t flags : {uint32_t{O_WRONLY}, uint32_t{O_RDWR}, uint32_t{O_RDONLY | O_TRUNC}})
    EXPECT_EQ(guest_->open(node, flags).error, EROFS);
  EXPECT_EQ(guest_->create(kTop, "n").error, EROFS);
  EXPECT_EQ(guest_->mkdir(kTop, "n").error, EROFS);
  EXPECT_EQ(guest_->mknod(kTop, "n", S_IFREG | 0600).error, EROFS);
  EXPECT_EQ(guest_->symlink(kTop, "n", "x").error, EROFS);
  EXPECT_EQ(guest_->link(node, kTop, "n").error, EROFS);
  EXPECT_EQ(guest_->unlink(kTop, "a").error, EROFS);
  EXPECT_EQ(guest_->rmdir(kTop, "d").error, EROFS);
  EXPECT_EQ(guest_->rename(kTop, "a", kTop, "b").error, EROFS);
  EXPECT_EQ(guest_->chmod(node, 0777).error, EROFS);
  EXPECT_EQ(guest_->setxattr(node, "user.x", "y").error, EROFS);
  EXPECT_EQ(host_text("a"), "text");
}

TEST_F(ShareServerTest, ASingleFileIsAllThereIs) {
  put("a");
  put("neighbour");
  ShareOptions options;
  options.only = "a";
  serve(options);
  EXPECT_THAT(guest_->list(kTop), UnorderedElementsAre(".", "..", "a"));
  EXPECT_THAT(guest_->list(kTop, FUSE_READDIRPLUS), UnorderedElementsAre(".", "..", "a"));
  EXPECT_EQ(guest_->lookup(kTop, "neighbour").node(), 0u);
  const uint64_t node = guest_->lookup(kTop, "a").node();
  const uint64_t handle = guest_->open(node, O_RDWR | O_TRUNC).as<fuse_open_out>().fh;
  EXPECT_EQ(guest_->write(node, handle, 0, "new").error, 0);
  EXPECT_EQ(host_text("a"), "new");
  EXPECT_EQ(guest_->unlink(kTop, "a").error, EPERM);
  EXPECT_EQ(guest_->unlink(kTop, "neighbour").error, EPERM);
  EXPECT_EQ(guest_->rename(kTop, "a", kTop, "b").error, EPERM);
  EXPECT_EQ(guest_->create(kTop, "b").error, EPERM);
  EXPECT_EQ(guest_->create(kTop, "neighbour").error, EPERM);
  EXPECT_EQ(guest_->link(node, kTop, "b").error, EPERM);
  EXPECT_EQ(guest_->symlink(kTop, "b", "x").error, EPERM);
}

TEST_F(ShareServerTest, AttributesOfTheGuestMeanNothingToTheHost) {
  put("a");
  const uint64_t node = guest_->lookup(kTop, "a").node();
  ASSERT_EQ(guest_->setxattr(node, "user.comment", "mine").error, 0);
  ASSERT_EQ(guest_->setxattr(node, "security.capability", "caps").error, 0);
  EXPECT_EQ(guest_->getxattr(node, "security.capability").text(), "caps");
  EXPECT_EQ(guest_->getxattr(node, "security.capability", 0).as<fuse_getxattr_out>().size, 4u);
  EXPECT_EQ(guest_->getxattr(node, "user.comment", 2).error, ERANGE);
  EXPECT_EQ(::getxattr(shared("a").c_str(), "security.capability", nullptr, 0), -1);
  ASSERT_EQ(guest_->chown(node, 5, 5).error, 0);
  const std::string list("user.comment\0security.capability\0", 33);
  std::string names = guest_->listxattr(node).text();
  EXPECT_EQ(names.size(), list.size()) << "the note of the owner is hidden";
  EXPECT_EQ(guest_->setxattr(node, kOwnerRecordName, "0:0:04755:file").error, EPERM);
  EXPECT_EQ(guest_->getxattr(node, kOwnerRecordName).error, ENODATA);
  EXPECT_EQ(guest_->setxattr(node, "user.virtiofs.security.capability", "x").error, EPERM);
  EXPECT_EQ(guest_->setxattr(node, "system.posix_acl_access", "x").error, ENOTSUP);
  EXPECT_EQ(guest_->call(FUSE_REMOVEXATTR, node, name_bytes("user.comment")).error, 0);
  EXPECT_EQ(guest_->getxattr(node, "user.comment").error, ENODATA);
}

TEST_F(ShareServerTest, TruncatesAndSetsTimes) {
  put("a", "0123456789");
  const uint64_t node = guest_->lookup(kTop, "a").node();
  fuse_setattr_in in{};
  in.valid = FATTR_SIZE | FATTR_MTIME;
  in.size = 4;
  in.mtime = 1'000'000;
  in.mtimensec = 500;
  const auto attributes = guest_->setattr(node, in).as<fuse_attr_out>().attr;
  EXPECT_EQ(attributes.size, 4u);
  EXPECT_EQ(attributes.mtime, 1'000'000u);
  EXPECT_EQ(attributes.mtimensec, 500u);
  EXPECT_EQ(host_text("a"), "0123");
}

TEST_F(ShareServerTest, TheGuestKeepsItsCacheUntilTheFileChanges) {
  put("a");
  const uint64_t node = guest_->lookup(kTop, "a").node();
  EXPECT_EQ(guest_->open(node, O_RDONLY).as<fuse_open_out>().open_flags, 0u);
  EXPECT_EQ(guest_->open(node, O_RDONLY).as<fuse_open_out>().open_flags, uint32_t{FOPEN_KEEP_CACHE});
  Fd host = open_file(shared("a"), O_WRONLY).value();
  ASSERT_TRUE(write_full(host.get(), as_bytes("longer than before")));
  EXPECT_EQ(guest_->open(node, O_RDONLY).as<fuse_open_out>().open_flags, 0u);
}

TEST_F(ShareServerTest, AChangeWhileTheFileWasOpenIsNotMissed) {
  put("a");
  const uint64_t node = guest_->lookup(kTop, "a").node();
  const uint64_t handle = guest_->open(node, O_RDONLY).as<fuse_open_out>().fh;
  Fd host = open_file(shared("a"), O_WRONLY).value();
  ASSERT_TRUE(write_full(host.get(), as_bytes("longer than before")));
  EXPECT_EQ(guest_->release(node, handle).error, 0);
  EXPECT_EQ(guest_->open(node, O_RDONLY).as<fuse_open_out>().open_flags, 0u);
}

TEST_F(ShareServerTest, SeeksPunchesAndCopies) {
  Answer made = guest_->create(kTop, "a");
  const uint64_t node = made.node(), handle = FuseGuest::handle_of(made);
  ASSERT_EQ(guest_->write(node, handle, 1 << 20, "data").error, 0);
  fuse_fallocate_in allocate{};
  allocate.fh = handle;
  allocate.length = 8192;
  EXPECT_EQ(guest_->call(FUSE_FALLOCATE, node, bytes_of(allocate)).error, 0);
  allocate.length = UINT64_MAX;
  EXPECT_EQ(guest_->call(FUSE_FALLOCATE, node, bytes_of(allocate)).error, EINVAL);
  fuse_lseek_in seek{};
  seek.fh = handle;
  seek.whence = SEEK_DATA;
  seek.offset = 1 << 19;
  EXPECT_LE(guest_->call(FUSE_LSEEK, node, bytes_of(seek)).as<fuse_lseek_out>().offset, uint64_t{1} << 20);
  seek.whence = SEEK_SET;
  EXPECT_EQ(guest_->call(FUSE_LSEEK, node, bytes_of(seek)).error, EINVAL);
  Answer copy = guest_->create(kTop, "b");
  fuse_copy_file_range_in range{};
  range.fh_in = handle;
  range.off_in = 1 << 20;
  range.nodeid_out = copy.node();
  range.fh_out = FuseGuest::handle_of(copy);
  range.len = UINT64_MAX;
  Answer copied = guest_->call(FUSE_COPY_FILE_RANGE, node, bytes_of(range));
  EXPECT_EQ(copied.error, 0);
  EXPECT_EQ(copied.as<fuse_write_out>().size, 4u);
  EXPECT_EQ(host_text("b"), "data");
}

TEST_F(ShareServerTest, AGuestThatHoldsManyFilesKeepsNoMoreNames) {
  for (int i = 0; i < 8; ++i) put(cat("file", i));
  serve(ShareOptions{}, {.max_nodes = 8});  // two nodes are root and share
  for (int i = 0; i < 3; ++i) EXPECT_EQ(guest_->lookup(kTop, cat("file", i)).as<fuse_entry_out>().entry_valid, 1u);
  Answer crowded = guest_->lookup(kTop, "file3");
  EXPECT_EQ(crowded.as<fuse_entry_out>().entry_valid, 0u);
  EXPECT_EQ(crowded.as<fuse_entry_out>().attr_valid, 1u);
  EXPECT_EQ(guest_->list(kTop, FUSE_READDIRPLUS).size(), 10u);
  EXPECT_EQ(server_->nodes(), 6u);
  guest_->forget(crowded.node());
  EXPECT_EQ(guest_->lookup(kTop, "file0").as<fuse_entry_out>().entry_valid, 1u);
}

TEST_F(ShareServerTest, BoundsWhatTheGuestCanHold) {
  for (const char* name : {"a", "b", "c", "d"}) put(name);
  serve(ShareOptions{}, {.max_nodes = 4, .max_handles = 1});  // two nodes are root and share
  const uint64_t a = guest_->lookup(kTop, "a").node();
  EXPECT_EQ(guest_->lookup(kTop, "b").error, 0);
  EXPECT_EQ(guest_->lookup(kTop, "c").error, ENFILE);
  EXPECT_EQ(guest_->open(a, O_RDONLY).error, 0);
  EXPECT_EQ(guest_->open(a, O_RDONLY).error, ENFILE);
  EXPECT_EQ(guest_->create(kTop, "new").error, ENFILE);
  guest_->forget(a);
  EXPECT_EQ(guest_->lookup(kTop, "c").error, 0);
}

TEST_F(ShareServerTest, WorksOnlyBetweenInitAndDestroy) {
  put("a");
  EXPECT_EQ(guest_->call(FUSE_DESTROY, 0).error, 0);
  EXPECT_EQ(guest_->lookup(kTop, "a").error, EIO);
  EXPECT_EQ(guest_->init().error, 0);
  EXPECT_EQ(guest_->lookup(kTop, "a").error, ESTALE) << "a new session holds nothing";
  EXPECT_EQ(guest_->lookup(FUSE_ROOT_ID, "share").error, 0);
  EXPECT_EQ(guest_->lookup(kTop, "a").error, 0);
  fuse_init_in in{};
  in.major = 8;
  EXPECT_EQ(guest_->call(FUSE_INIT, 0, bytes_of(in)).as<fuse_init_out>().major, 7u);
}

TEST_F(ShareServerTest, TheRootHoldsTheSharesAndNothingElse) {
  std::vector<Share> shares;
  shares.push_back(share("one"));
  shares.push_back(share("two", {.writable = Writable::no}));
  serve(std::move(shares));
  for (uint32_t opcode : {FUSE_READDIR, FUSE_READDIRPLUS})
    EXPECT_THAT(guest_->list(FUSE_ROOT_ID, opcode, 300), UnorderedElementsAre(".", "..", "one", "two"));
  EXPECT_EQ(guest_->attributes(FUSE_ROOT_ID).mode, S_IFDIR | 0755u);
  EXPECT_EQ(guest_->call(FUSE_STATFS, FUSE_ROOT_ID).error, 0);
  EXPECT_EQ(guest_->call(FUSE_SYNCFS, FUSE_ROOT_ID, bytes_of(uint64_t{0})).error, 0);
  EXPECT_EQ(guest_->lookup(FUSE_ROOT_ID, "three").node(), 0u);
  EXPECT_EQ(guest_->create(FUSE_ROOT_ID, "x").error, EROFS);
  EXPECT_EQ(guest_->mkdir(FUSE_ROOT_ID, "x").error, EROFS);
  EXPECT_EQ(guest_->rmdir(FUSE_ROOT_ID, "one").error, EROFS);
  EXPECT_EQ(guest_->chmod(FUSE_ROOT_ID, 0).error, EROFS);
  EXPECT_EQ(guest_->getxattr(FUSE_ROOT_ID, "user.x").error, EOPNOTSUPP);
  EXPECT_EQ(guest_->open(FUSE_ROOT_ID, O_RDONLY).error, EOPNOTSUPP);
}

TEST_F(ShareServerTest, SharesAreFileSystemsOfTheirOwn) {
  std::vector<Share> shares;
  shares.push_back(share("one"));
  shares.push_back(share("two", {.writable = Writable::no}));
  serve(std::move(shares));
  put("a");
  const uint64_t one = guest_->lookup(FUSE_ROOT_ID, "one").node(), two = guest_->lookup(FUSE_ROOT_ID, "two").node();
  const uint64_t a = guest_->lookup(one, "a").node();
  EXPECT_NE(guest_->lookup(two, "a").node(), a) << "the same file of the host, on other terms";
  EXPECT_EQ(guest_->open(a, O_WRONLY).error, 0);
  EXPECT_EQ(guest_->open(guest_->lookup(two, "a").node(), O_WRONLY).error, EROFS);
  EXPECT_EQ(guest_->link(guest_->lookup(two, "a").node(), one, "b").error, EXDEV);
  EXPECT_EQ(guest_->rename(one, "a", two, "b").error, EXDEV);
  EXPECT_EQ(guest_->rename(two, "a", one, "b").error, EROFS);
}

TEST_F(ShareServerTest, NamesOfSharesMustBeNames) {
  for (const char* name : {"", ".", "..", "a/b"}) {
    std::vector<Share> shares;
    shares.push_back(share(name));
    EXPECT_FALSE(ShareServer::create(std::move(shares))) << name;
  }
  std::vector<Share> twice;
  twice.push_back(share("a"));
  twice.push_back(share("a"));
  EXPECT_FALSE(ShareServer::create(std::move(twice)));
}

TEST_F(ShareServerTest, MalformedRequestsAreAnswered) {
  EXPECT_EQ(guest_->send(Bytes(10)).body.size(), 0u);
  for (uint32_t opcode = 0; opcode < 60; ++opcode) {
    if (opcode == FUSE_DESTROY) continue;
    guest_->call(opcode, kTop);
    guest_->call(opcode, kTop, Bytes(3, 0xff));
    guest_->call(opcode, kTop, Bytes(200, 0xff));
  }
  EXPECT_EQ(guest_->call(FUSE_LOOKUP, kTop, Bytes(kMaxArguments + 1)).error, EINVAL);
  EXPECT_EQ(guest_->call(4711, kTop).error, ENOSYS);
  guest_->reply_size = 4;
  guest_->lookup(kTop, "a");
}

}  // namespace
}  // namespace msb::fs
