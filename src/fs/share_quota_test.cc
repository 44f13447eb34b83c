#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>

#include "base/temp_dir.h"
#include "fs/share_server.h"
#include "fs/testing/fuse_guest.h"

namespace msb::fs {
namespace {

using testing::Answer;
using testing::bytes_of;
using testing::FuseGuest;
using testing::join;
using testing::name_bytes;

constexpr uint64_t kTop = FUSE_ROOT_ID + 1;
constexpr uint64_t kLimit = 100'000;

// One sandbox's end of a volume.
struct User {
  std::unique_ptr<ShareServer> server;
  Quota* quota;
  std::optional<FuseGuest> guest;

  User(const std::string& volume, uint64_t limit) {
    std::vector<Share> shares;
    Share share{"v", open_file(volume + "/data", O_PATH | O_DIRECTORY).value()};
    share.quota = Quota::of_volume(limit, open_usage_record(volume + "/usage", volume + "/data").value()).value();
    quota = share.quota.get();
    shares.push_back(std::move(share));
    server = ShareServer::create(std::move(shares)).value();
    guest.emplace(*server);
    EXPECT_EQ(guest->init().error, 0);
    EXPECT_EQ(guest->lookup(FUSE_ROOT_ID, "v").node(), kTop);
  }
  int truncate(uint64_t node, uint64_t size) {
    fuse_setattr_in in{};
    in.valid = FATTR_SIZE;
    in.size = size;
    return guest->setattr(node, in).error;
  }
  int fallocate(uint64_t node, uint64_t handle, uint64_t offset, uint64_t length, uint32_t mode) {
    fuse_fallocate_in in{};
    in.fh = handle;
    in.offset = offset;
    in.length = length;
    in.mode = mode;
    return guest->call(FUSE_FALLOCATE, node, bytes_of(in)).error;
  }
};

class ShareQuotaTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(make_dirs(directory_.path() + "/data")); }
  User user(uint64_t limit = kLimit) const { return User(directory_.path(), limit); }
  uint64_t there() const { return count_usage(directory_.path() + "/data").value(); }
  void put(const std::string& name, size_t size) {
    ASSERT_TRUE(write_file_atomic(directory_.path() + "/data/" + name, std::string(size, 'x')));
  }
  TempDir directory_ = TempDir::create().value();
};

TEST_F(ShareQuotaTest, WritesStopAtTheLimit) {
  User one = user();
  Answer made = one.guest->create(kTop, "a");
  const uint64_t node = made.node(), handle = FuseGuest::handle_of(made);
  const uint64_t room = kLimit - kInodeWeight;
  EXPECT_EQ(one.guest->write(node, handle, 0, std::string(room, 'x')).error, 0);
  EXPECT_EQ(one.guest->write(node, handle, room, "x").error, ENOSPC);
  EXPECT_EQ(one.guest->write(node, handle, 0, "over what is there").error, 0);
  EXPECT_EQ(one.guest->create(kTop, "b").error, ENOSPC);
  EXPECT_EQ(one.guest->mkdir(kTop, "b").error, ENOSPC);
  EXPECT_EQ(one.guest->mknod(kTop, "b", S_IFREG | 0644).error, ENOSPC);
  EXPECT_EQ(one.guest->symlink(kTop, "b", "t").error, ENOSPC);
  EXPECT_EQ(one.quota->used(), kLimit);
  EXPECT_EQ(there(), kLimit);
  // Room that is given back can be used.
  EXPECT_EQ(one.truncate(node, room - kInodeWeight), 0);
  EXPECT_EQ(one.guest->mkdir(kTop, "b").error, 0);
  EXPECT_EQ(there(), kLimit);
}

TEST_F(ShareQuotaTest, NoWayOfGrowingIsFree) {
  User one = user();
  Answer made = one.guest->create(kTop, "a", 0644, O_RDWR | O_APPEND);
  const uint64_t node = made.node(), handle = FuseGuest::handle_of(made);
  ASSERT_EQ(one.guest->write(node, handle, 0, std::string(60'000, 'x')).error, 0);
  // O_APPEND: the offset says nothing.
  EXPECT_EQ(one.guest->write(node, handle, 0, std::string(60'000, 'x'), O_APPEND).error, ENOSPC);
  EXPECT_EQ(one.truncate(node, kLimit), ENOSPC);
  EXPECT_EQ(one.fallocate(node, handle, 0, kLimit, 0), ENOSPC);
  EXPECT_EQ(one.fallocate(node, handle, 0, kLimit, FALLOC_FL_ZERO_RANGE), ENOSPC);
  EXPECT_EQ(one.fallocate(node, handle, 0, kLimit, FALLOC_FL_KEEP_SIZE), EOPNOTSUPP);
  EXPECT_EQ(one.fallocate(node, handle, 0, 4096, FALLOC_FL_INSERT_RANGE), EOPNOTSUPP);
  fuse_copy_file_range_in copy{};
  copy.fh_in = handle;
  Answer target = one.guest->create(kTop, "b");
  copy.nodeid_out = target.node();
  copy.fh_out = FuseGuest::handle_of(target);
  copy.len = 60'000;
  EXPECT_EQ(one.guest->call(FUSE_COPY_FILE_RANGE, node, bytes_of(copy)).error, ENOSPC);
  copy.len = 1000;
  EXPECT_EQ(one.guest->call(FUSE_COPY_FILE_RANGE, node, bytes_of(copy)).error, 0);
  EXPECT_EQ(one.quota->used(), 61'000 + 2 * kInodeWeight);
  EXPECT_EQ(there(), one.quota->used());
}

TEST_F(ShareQuotaTest, AttributesStayWithinAFilesWeight) {
  User one = user();
  const uint64_t node = one.guest->create(kTop, "a").node();
  auto set = [&](const char* name, size_t size) {
    return one.guest->setxattr(node, name, std::string(size, 'x')).error;
  };
  EXPECT_EQ(set("user.a", 2000), 0);
  EXPECT_EQ(set("user.b", 3000), ENOSPC);
  EXPECT_EQ(set("user.a", 3000), 0);
}

TEST_F(ShareQuotaTest, OpeningWithTruncationGivesRoom) {
  put("a", 50'000);
  User one = user();
  const uint64_t node = one.guest->lookup(kTop, "a").node();
  EXPECT_EQ(one.guest->open(node, O_WRONLY | O_TRUNC).error, 0);
  EXPECT_EQ(one.quota->used(), kInodeWeight);
  put("b", 100);
  EXPECT_EQ(one.guest->create(kTop, "a", 0644, O_RDWR | O_TRUNC).error, 0);
  EXPECT_EQ(one.quota->used(), kInodeWeight);
}

TEST_F(ShareQuotaTest, ARemovedFileCountsUntilTheGuestLetsGo) {
  User one = user();
  Answer made = one.guest->create(kTop, "a");
  const uint64_t node = made.node(), handle = FuseGuest::handle_of(made);
  ASSERT_EQ(one.guest->write(node, handle, 0, std::string(50'000, 'x')).error, 0);
  ASSERT_EQ(one.guest->unlink(kTop, "a").error, 0);
  EXPECT_EQ(one.quota->used(), 50'000 + kInodeWeight);
  EXPECT_EQ(one.guest->write(node, handle, 50'000, std::string(50'000, 'x')).error, ENOSPC);
  EXPECT_EQ(one.guest->write(node, handle, 50'000, std::string(40'000, 'x')).error, 0);
  EXPECT_EQ(one.guest->read(node, handle, 89'999, 10).text(), "x");
  one.guest->release(node, handle);
  one.guest->forget(node);
  EXPECT_EQ(one.quota->used(), 0u);
}

TEST_F(ShareQuotaTest, ForgettingAnOpenFileDoesNotKeepItsBlocksFree) {
  User one = user();
  Answer made = one.guest->create(kTop, "a");
  ASSERT_EQ(one.guest->unlink(kTop, "a").error, 0);
  one.guest->forget(made.node());
  EXPECT_EQ(one.server->handles(), 0u);
  EXPECT_EQ(one.quota->used(), 0u);
}

TEST_F(ShareQuotaTest, RenamingOverAFileRemovesIt) {
  User one = user();
  for (const char* name : {"a", "b"}) {
    Answer made = one.guest->create(kTop, name);
    one.guest->write(made.node(), FuseGuest::handle_of(made), 0, std::string(1000, 'x'));
    one.guest->forget(made.node());
  }
  ASSERT_EQ(one.guest->rename(kTop, "a", kTop, "b", RENAME_EXCHANGE).error, 0);
  EXPECT_EQ(one.quota->used(), 2 * (1000 + kInodeWeight));
  ASSERT_EQ(one.guest->rename(kTop, "a", kTop, "b").error, 0);
  EXPECT_EQ(one.quota->used(), 1000 + kInodeWeight);
  ASSERT_EQ(one.guest->mkdir(kTop, "d").error, 0);
  ASSERT_EQ(one.guest->mkdir(kTop, "e").error, 0);
  ASSERT_EQ(one.guest->rename(kTop, "d", kTop, "e").error, 0);
  EXPECT_EQ(one.quota->used(), 1000 + 2 * kInodeWeight);
  ASSERT_EQ(one.guest->rmdir(kTop, "e").error, 0);
  EXPECT_EQ(one.quota->used(), there());
}

TEST_F(ShareQuotaTest, ATemporaryFileCountsBeforeItHasAName) {
  User one = user();
  fuse_create_in in{};
  in.flags = O_RDWR;
  in.mode = S_IFREG | 0644;
  Answer made = one.guest->call(FUSE_TMPFILE, kTop, join({bytes_of(in), name_bytes("x")}));
  ASSERT_EQ(made.error, 0);
  const uint64_t handle = FuseGuest::handle_of(made);
  ASSERT_EQ(one.guest->write(made.node(), handle, 0, std::string(500, 'x')).error, 0);
  EXPECT_EQ(one.quota->used(), 500 + kInodeWeight);
  ASSERT_EQ(one.guest->link(made.node(), kTop, "named").error, 0);
  one.guest->release(made.node(), handle);
  one.guest->forget(made.node(), 2);
  EXPECT_EQ(one.quota->used(), 500 + kInodeWeight);
  EXPECT_EQ(there(), one.quota->used());
}

TEST_F(ShareQuotaTest, TheLimitHoldsForAllUsersTogether) {
  User one = user(), two = user();
  Answer made = one.guest->create(kTop, "a");
  ASSERT_EQ(one.guest->write(made.node(), FuseGuest::handle_of(made), 0, std::string(60'000, 'x')).error, 0);
  Answer other = two.guest->create(kTop, "b");
  EXPECT_EQ(two.guest->write(other.node(), FuseGuest::handle_of(other), 0, std::string(60'000, 'x')).error, ENOSPC);
  EXPECT_EQ(two.guest->write(other.node(), FuseGuest::handle_of(other), 0, std::string(30'000, 'x')).error, 0);
  EXPECT_EQ(one.quota->used(), there());
}

TEST_F(ShareQuotaTest, AFileAnotherUserRemovedCannotGrowAndIsEmptyOnceItIsNotCounted) {
  User one = user(), two = user();
  put("a", 0);
  const uint64_t mine = one.guest->lookup(kTop, "a").node(), theirs = two.guest->lookup(kTop, "a").node();
  const uint64_t handle = one.guest->open(mine, O_RDWR).as<fuse_open_out>().fh;
  ASSERT_EQ(one.guest->write(mine, handle, 0, std::string(1000, 'x')).error, 0);
  const uint64_t kept = two.guest->open(theirs, O_RDWR).as<fuse_open_out>().fh;
  ASSERT_EQ(one.guest->unlink(kTop, "a").error, 0);
  EXPECT_EQ(two.guest->write(theirs, kept, 1000, "more").error, ENOSPC);
  EXPECT_EQ(two.guest->read(theirs, kept, 0, 5).text(), "xxxxx");
  one.guest->release(mine, handle);
  one.guest->forget(mine);
  EXPECT_EQ(two.guest->read(theirs, kept, 0, 5).text(), "");
  two.guest->release(theirs, kept);
  two.guest->forget(theirs);
  EXPECT_EQ(two.quota->used(), there());
}

TEST_F(ShareQuotaTest, TheGuestSeesTheQuotaAsTheSizeOfTheFileSystem) {
  put("a", 40'000);
  User one = user();
  auto status = one.guest->call(FUSE_STATFS, kTop).as<fuse_statfs_out>().st;
  EXPECT_EQ(status.blocks, kLimit / status.frsize);
  EXPECT_EQ(status.bavail, (kLimit - 40'000 - kInodeWeight) / status.frsize);
}

TEST_F(ShareQuotaTest, ANewSessionLetsGoOfEverything) {
  User one = user();
  Answer made = one.guest->create(kTop, "a");
  one.guest->write(made.node(), FuseGuest::handle_of(made), 0, std::string(1000, 'x'));
  one.guest->unlink(kTop, "a");
  ASSERT_EQ(one.guest->init().error, 0);
  EXPECT_EQ(one.quota->used(), 0u);
}

// Whatever two guests do, what is counted is what is there.
TEST_F(ShareQuotaTest, CountsRightlyWhateverTheGuestsDo) {
  std::mt19937 random(1);
  auto below = [&](uint32_t bound) { return std::uniform_int_distribution<uint32_t>(0, bound - 1)(random); };
  User users[] = {user(), user()};
  const char* names[] = {"a", "b", "c", "d", "e"};
  struct Open {
    User* user;
    uint64_t node, handle;
  };
  std::vector<Open> open;
  auto hold = [&](User& who, const Answer& made) {
    if (made.error == 0) open.push_back({&who, made.node(), FuseGuest::handle_of(made)});
  };
  auto name = [&] { return names[below(std::size(names))]; };
  for (int step = 0; step < 4000; ++step) {
    User& who = users[below(2)];
    switch (below(10)) {
      case 0:
        hold(who, who.guest->create(kTop, name(), 0644, O_RDWR | (below(2) ? O_TRUNC : 0)));
        break;
      case 1: {
        Answer made = who.guest->mkdir(kTop, name());
        if (made.error == 0) who.guest->forget(made.node());
        break;
      }
      case 2:
        who.guest->unlink(kTop, name());
        break;
      case 3:
        who.guest->rmdir(kTop, name());
        break;
      case 4:
        who.guest->rename(kTop, name(), kTop, name(), below(4) ? 0 : RENAME_EXCHANGE);
        break;
      case 5: {
        Answer made = who.guest->symlink(kTop, name(), std::string(1 + below(100), 't'));
        if (made.error == 0) who.guest->forget(made.node());
        break;
      }
      case 6: {
        Answer found = who.guest->lookup(kTop, name());
        if (found.error || found.node() == 0) break;
        Answer linked = who.guest->link(found.node(), kTop, name());
        who.guest->forget(found.node(), linked.error ? 1 : 2);
        break;
      }
      default: {
        if (open.empty()) break;
        const size_t at = below(static_cast<uint32_t>(open.size()));
        auto [whose, node, handle] = open[at];
        const uint32_t what = below(4), size = below(30'000);
        if (what == 0)
          whose->guest->write(node, handle, below(20'000), std::string(size, 'x'), below(4) ? 0 : uint32_t{O_APPEND});
        if (what == 1) whose->truncate(node, size);
        if (what == 2) whose->fallocate(node, handle, below(20'000), size + 1, below(2) ? 0 : FALLOC_FL_ZERO_RANGE);
        if (what != 3) break;
        whose->guest->release(node, handle);
        whose->guest->forget(node);
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
      }
    }
    ASSERT_LE(users[0].quota->used(), kLimit) << "step " << step;
    ASSERT_LE(there(), users[0].quota->used()) << "step " << step;
  }
  for (auto& [whose, node, handle] : open) {
    whose->guest->release(node, handle);
    whose->guest->forget(node);
  }
  EXPECT_EQ(users[0].quota->used(), there());
}

}  // namespace
}  // namespace msb::fs
