// Real groups need a host that delegates one: the nested test bed does (tests/nested/run), as root.
#include "fence/cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/child.h"
#include "fence/testing/look.h"

namespace msb::fence {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kTop = "24 22 0:21 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";
constexpr CgroupCaps kSmall{uint64_t{64} << 20, 16};

TEST(FindCgroup, IsWhereTheHierarchyIsMounted) {
  EXPECT_EQ(*find_cgroup("0::/user.slice/a.scope\n", kTop), "/sys/fs/cgroup/user.slice/a.scope");
  EXPECT_EQ(*find_cgroup("0::/\n", kTop), "/sys/fs/cgroup");
  EXPECT_EQ(*find_cgroup("9:pids:/x\n1:cpu:/\n0::/y\n",
                         "30 22 0:30 / /sys/fs/cgroup/pids rw shared:5 - cgroup cgroup rw,pids\n"
                         "31 22 0:31 / /sys/fs/cgroup/unified rw shared:6 master:2 - cgroup2 cgroup2 rw\n"),
            "/sys/fs/cgroup/unified/y");
  EXPECT_EQ(*find_cgroup("0::/docker/12/z\n", "24 22 0:21 /docker/12 /cg ro - cgroup2 cgroup rw\n"), "/cg/z");
}

TEST(FindCgroup, SaysSoWhereItCannotBeReached) {
  EXPECT_THAT(find_cgroup("9:pids:/x\n", kTop).error().message(), HasSubstr("no cgroup v2"));
  EXPECT_THAT(find_cgroup("0::/\n", "30 22 0:30 / /x rw - cgroup cgroup rw,pids\n").error().message(),
              HasSubstr("no cgroup v2"));
  EXPECT_FALSE(find_cgroup("0::/../other\n", kTop));
  EXPECT_FALSE(find_cgroup("0::/docker/123\n", "24 22 0:21 /docker/12 /cg ro - cgroup2 cgroup rw\n"));
  EXPECT_FALSE(find_cgroup("", ""));
}

TEST(Cgroup, AHostThatDelegatesNoneSaysWhichGroupRefuses) {
  auto made = Cgroup::create("/proc/self", "msb-test", kSmall, {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind(), ErrorKind::unsupported);
  EXPECT_THAT(made.error().message(), HasSubstr("the control group /proc/self"));
}

TEST(Cgroup, AProgramWithoutASeatStartsAllTheSameAndSaysWhy) {
  auto seen = testing::look({{"pid"}, {}, {Wall::seccomp}, {}, CgroupSeat{-1, "not delegated"}});
  ASSERT_TRUE(seen) << seen.error().to_string();
  EXPECT_EQ(seen->results["pid"], "1");
  EXPECT_EQ(seen->walls.back().wall, Wall::cgroup_caps);
  EXPECT_FALSE(seen->walls.back().up);
  EXPECT_EQ(seen->walls.back().reason, "not delegated");
}

TEST(Cgroup, ASeatThatIsNoneIsAWallThatIsDown) {
  Fd directory = *open_file("/", O_RDONLY | O_DIRECTORY);
  auto seen = testing::look({{"pid"}, {}, {Wall::seccomp}, {}, CgroupSeat{directory.get(), ""}});
  ASSERT_TRUE(seen) << seen.error().to_string();
  EXPECT_EQ(seen->results["pid"], "1");
  EXPECT_FALSE(seen->walls.back().up);
  EXPECT_THAT(seen->walls.back().reason, HasSubstr("control group"));
}

class DelegatedCgroup : public ::testing::Test {
 protected:
  void SetUp() override {
    auto own = own_cgroup();
    if (!own) GTEST_SKIP() << own.error().to_string();
    own_ = *own;
    auto made = Cgroup::create(own_, name_, kSmall, [this](const std::string& path) -> Result<> {
      noted_ = path;
      return {};
    });
    if (!made) GTEST_SKIP() << made.error().to_string();
    group_.emplace(std::move(*made));
  }
  std::string value(const char* file) const {
    auto text = read_file(cat(group_->path(), "/", file), 4096);
    return text ? *text : text.error().to_string();
  }
  testing::Seen look(const std::string& attempt) {
    auto seen = testing::look({{attempt}, {}, {Wall::seccomp}, {}, CgroupSeat{group_->fd(), ""}});
    EXPECT_TRUE(seen) << seen.error().to_string();
    return seen ? *seen : testing::Seen{};
  }

  std::string name_ = cat("msb-test-", ::getpid());
  std::string own_;
  std::string noted_;
  std::optional<Cgroup> group_;
};

TEST_F(DelegatedCgroup, HasTheCapsAndIsNotedBeforeItIsThere) {
  EXPECT_EQ(noted_, group_->path());
  EXPECT_EQ(value("memory.max"), "67108864\n");
  EXPECT_EQ(value("pids.max"), "16\n");
  EXPECT_EQ(value("memory.oom.group"), "1\n");
}

TEST_F(DelegatedCgroup, FromInsideTheProgramIsBound) {
  testing::Seen seen = look("forks=100");
  EXPECT_EQ(seen.results["forks"], "15 then 11") << "itself and 15 others, then EAGAIN";
  EXPECT_EQ(seen.walls.back().wall, Wall::cgroup_caps);
  EXPECT_TRUE(seen.walls.back().up) << seen.walls.back().reason;
  EXPECT_EQ(look("touch=32").results["touch"], "ok");
  EXPECT_EQ(look("touch=128").status.signal, SIGKILL);
  EXPECT_THAT(value("memory.events"), HasSubstr("oom_group_kill 1"));
}

TEST_F(DelegatedCgroup, GoesWithItsObjectAndOneLeftBehindIsMadeAnew) {
  std::string path = group_->path();
  group_.reset();
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
  ASSERT_EQ(::mkdir(path.c_str(), 0755), 0);
  auto again = Cgroup::create(own_, name_, kSmall, {});
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(again->path(), path);
}

// A shell's scope: it has processes, so the new group is made beside it, unless it has limits that would be left.
TEST_F(DelegatedCgroup, BesideTheOwnWhenThatHasProcesses) {
  std::string above = cat(own_, "/", name_, "-above"), leaf = above + "/leaf";
  for (const auto& path : {above, leaf}) ASSERT_EQ(::mkdir(path.c_str(), 0755), 0);
  SpawnOptions sleeper;
  sleeper.argv = {"sleep", "1000"};
  Child inside = *Child::spawn(sleeper);
  ASSERT_TRUE(write_full(open_file(leaf + "/cgroup.procs", O_WRONLY)->get(), as_bytes(cat(inside.pid()))));
  {
    auto beside = Cgroup::create(leaf, "new", kSmall, {});
    ASSERT_TRUE(beside) << beside.error().to_string();
    EXPECT_EQ(beside->path(), above + "/new");
  }
  ASSERT_TRUE(write_full(open_file(leaf + "/memory.max", O_WRONLY)->get(), as_bytes("100000000")));
  auto limited = Cgroup::create(leaf, "new", kSmall, {});
  ASSERT_FALSE(limited);
  EXPECT_THAT(limited.error().message(), HasSubstr("memory.max"));
  ASSERT_TRUE(inside.signal(SIGKILL));
  ASSERT_TRUE(inside.wait());
  for (const auto& path : {leaf, above}) EXPECT_EQ(::rmdir(path.c_str()), 0);
}

}  // namespace
}  // namespace msb::fence
