#include "agent/environment.h"

#include <gtest/gtest.h>

#include "agent/limits.h"
#include "agent/oom_watch.h"
#include "base/fd.h"
#include "base/temp_dir.h"

namespace msb::agent {
namespace {

using Env = std::vector<std::string>;

TEST(Environment, later_values_win_in_place) {
  EXPECT_EQ(merge_environment({"A=1", "B=2"}, {"C=3", "A=x=y"}), (Env{"A=x=y", "B=2", "C=3"}));
}

TEST(Environment, entries_without_a_name_are_dropped) {
  EXPECT_EQ(merge_environment({"novalue", "A="}, {"=x", "", "B"}), (Env{"A="}));
}

TEST(Environment, defaults_do_not_replace_even_an_empty_value) {
  Env env{"PATH=", "HOMER=x"};
  set_default(env, "PATH", "/bin");
  set_default(env, "HOME", "/root");
  EXPECT_EQ(env, (Env{"PATH=", "HOMER=x", "HOME=/root"}));
}

TEST(Limits, all_names_are_known) {
  for (const char* name : {"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile",
                           "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"})
    EXPECT_TRUE(parse_limits({{name, 1, 2}})) << name;
}

TEST(Limits, unknown_and_contradictory_ones_are_refused) {
  EXPECT_FALSE(parse_limits({{"files", 1, 2}}));
  EXPECT_FALSE(parse_limits({{"nofile", 3, 2}}));
  EXPECT_EQ(parse_limits({{"core", 0, UINT64_MAX}}).value()[0].value.rlim_max, RLIM_INFINITY);
}

TEST(OomWatch, sees_each_kill_once) {
  auto dir = TempDir::create().value();
  std::string path = dir.path() + "/vmstat";
  ASSERT_TRUE(write_file_atomic(path, "nr_free_pages 5\noom_kill 3\n"));
  OomWatch watch(path);
  EXPECT_FALSE(watch.killed_since_last_time());
  ASSERT_TRUE(write_file_atomic(path, "nr_free_pages 5\noom_kill 4\n"));
  EXPECT_TRUE(watch.killed_since_last_time());
  EXPECT_FALSE(watch.killed_since_last_time());
}

}  // namespace
}  // namespace msb::agent
