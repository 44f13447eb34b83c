#include "state/sandboxes.h"

#include <gtest/gtest.h>

#include "base/temp_dir.h"
#include "state/cgroup_trace.h"
#include "state/trash.h"

namespace msb::state {
namespace {

struct SandboxesTest : testing::Test {
  TempDir temp = *TempDir::create();
  Home home = *Home::at(temp.path() + "/home");
  Database database = *Database::open(home);

  SandboxRow row(const std::string& name, SandboxStatus status = SandboxStatus::stopped) {
    SandboxRow row;
    row.name = name;
    row.id = "id-" + name;
    row.config_json = "{}";
    row.image = "busybox";
    row.status = status;
    return row;
  }
  void add(const SandboxRow& row) {
    auto inserted = insert_sandbox(database, row);
    ASSERT_TRUE(inserted) << inserted.error().to_string();
    ASSERT_TRUE(home.make_dir(home.sandbox_logs_dir(row.name)));
  }
  SandboxStatus status(const std::string& name) { return get_sandbox(database, name)->status; }
};

TEST_F(SandboxesTest, RowRoundTrips) {
  auto in = row("a");
  in.command = {"sh", "-c", "x"};
  in.labels = {{"k", "v"}, {"empty", ""}};
  in.ephemeral = true;
  in.memory_mib = 256;
  add(in);
  auto out = get_sandbox(database, "a");
  ASSERT_TRUE(out);
  EXPECT_EQ(out->command, in.command);
  EXPECT_EQ(out->labels, in.labels);
  EXPECT_TRUE(out->ephemeral);
  EXPECT_EQ(out->memory_mib, 256U);
  EXPECT_EQ(out->image_manifest, std::nullopt);
  EXPECT_GT(out->created_at_ms, 0);
}

TEST_F(SandboxesTest, TakenNameIsItsOwnError) {
  add(row("a"));
  auto again = insert_sandbox(database, row("a"));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), ErrorKind::sandbox_already_exists);
}

TEST_F(SandboxesTest, UnknownNameIsNotFound) {
  EXPECT_EQ(get_sandbox(database, "x").error().kind(), ErrorKind::sandbox_not_found);
  EXPECT_EQ(mark_starting(database, "x").error().kind(), ErrorKind::sandbox_not_found);
  EXPECT_FALSE(*find_sandbox(database, "x"));
}

TEST_F(SandboxesTest, ListIsNewestFirstAndFiltersByAllLabels) {
  auto one = row("one");
  one.labels = {{"app", "x"}, {"tier", "web"}};
  add(one);
  auto two = row("two");
  two.labels = {{"app", "x"}};
  add(two);
  auto all = *list_sandboxes(database);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].name, "two");
  EXPECT_EQ(list_sandboxes(database, {{"app", "x"}})->size(), 2U);
  auto web = *list_sandboxes(database, {{"app", "x"}, {"tier", "web"}});
  ASSERT_EQ(web.size(), 1U);
  EXPECT_EQ(web[0].name, "one");
  EXPECT_TRUE(list_sandboxes(database, {{"app", "y"}})->empty());
}

TEST_F(SandboxesTest, RunIsRecordedFromStartToEnd) {
  add(row("a"));
  ASSERT_TRUE(mark_starting(database, "a"));
  EXPECT_EQ(status("a"), SandboxStatus::starting);
  ASSERT_TRUE(mark_running(
      database, "a", {.pid = 42, .machine = "portable", .isolation = "process", .walls = {{"seccomp", true, ""}}}));
  auto running = *get_sandbox(database, "a");
  EXPECT_EQ(running.pid, 42);
  EXPECT_EQ(running.walls.at(0).name, "seccomp");
  EXPECT_TRUE(running.started_at_ms);
  EXPECT_TRUE(*mark_draining(database, "a"));
  EXPECT_FALSE(*mark_draining(database, "a"));
  ASSERT_TRUE(
      mark_ended(database, "a", {.status = SandboxStatus::stopped, .termination_reason = "completed", .exit_code = 3}));
  auto ended = *get_sandbox(database, "a");
  EXPECT_EQ(ended.status, SandboxStatus::stopped);
  EXPECT_EQ(ended.pid, std::nullopt);
  EXPECT_EQ(ended.exit_code, 3);
  EXPECT_EQ(ended.machine, "portable");
  ASSERT_TRUE(mark_starting(database, "a"));
  EXPECT_EQ(get_sandbox(database, "a")->exit_code, std::nullopt);
}

TEST_F(SandboxesTest, ReconcileMarksDeadOnesCrashedAndLeavesTheLiving) {
  add(row("dead", SandboxStatus::running));
  add(row("alive", SandboxStatus::running));
  add(row("stopped", SandboxStatus::stopped));
  auto lock = *try_lock_sandbox(home, "alive");
  ASSERT_TRUE(lock);
  ASSERT_TRUE(write_file_atomic(home.relay_socket("dead"), ""));
  auto done = reconcile(home, database);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(done->crashed, 1);
  EXPECT_EQ(done->removed, 0);
  EXPECT_EQ(status("dead"), SandboxStatus::crashed);
  EXPECT_EQ(status("alive"), SandboxStatus::running);
  EXPECT_EQ(status("stopped"), SandboxStatus::stopped);
  EXPECT_FALSE(path_exists(home.relay_socket("dead")));
  EXPECT_TRUE(path_exists(home.sandbox_dir("dead")));
}

TEST_F(SandboxesTest, ReconcileRemovesDeadEphemeralOnesWhole) {
  auto ephemeral = row("gone", SandboxStatus::starting);
  ephemeral.ephemeral = true;
  add(ephemeral);
  auto done = reconcile(home, database);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(done->removed, 1);
  EXPECT_FALSE(*find_sandbox(database, "gone"));
  EXPECT_FALSE(path_exists(home.sandbox_dir("gone")));
  EXPECT_FALSE(path_exists(home.lifecycle_lock("gone")));
}

TEST_F(SandboxesTest, RemoveTakesDirectoryAndLabels) {
  auto labelled = row("a");
  labelled.labels = {{"k", "v"}};
  add(labelled);
  ASSERT_TRUE(remove_sandbox(home, database, "a"));
  EXPECT_FALSE(path_exists(home.sandbox_dir("a")));
  ASSERT_TRUE(insert_sandbox(database, row("a")));
  EXPECT_TRUE(get_sandbox(database, "a")->labels.empty());
}

TEST_F(SandboxesTest, SweepTakesTrashAndStaleSocketsButNoDiskWithoutRow) {
  ASSERT_TRUE(home.make_dir(home.trash_dir() + "/1/sandbox"));
  ASSERT_TRUE(home.make_dir(home.sandbox_dir("orphan")));
  ASSERT_TRUE(home.make_dir(home.run_dir()));
  ASSERT_TRUE(write_file_atomic(home.relay_socket("stale"), ""));
  ASSERT_TRUE(write_file_atomic(home.relay_socket("alive"), ""));
  auto lock = *try_lock_sandbox(home, "alive");
  auto swept = sweep_leftovers(home, database);
  ASSERT_TRUE(swept) << swept.error().to_string();
  EXPECT_FALSE(path_exists(home.trash_dir() + "/1"));
  EXPECT_FALSE(path_exists(home.relay_socket("stale")));
  EXPECT_TRUE(path_exists(home.relay_socket("alive")));
  EXPECT_TRUE(path_exists(home.sandbox_dir("orphan")));
}

TEST_F(SandboxesTest, SweepLeavesWhatSomebodyIsRemovingJustNow) {
  add(row("a"));
  ASSERT_TRUE(write_file_atomic(home.upper("a"), "disk"));
  std::string path;
  {
    auto trash = Trash::take(home, home.sandbox_dir("a"));
    ASSERT_TRUE(trash) << trash.error().to_string();
    path = trash->path();
    EXPECT_FALSE(path_exists(home.sandbox_dir("a")));
    ASSERT_TRUE(sweep_leftovers(home, database));
    EXPECT_TRUE(path_exists(path + "/logs"));
  }
  // Its remover has died.
  ASSERT_TRUE(sweep_leftovers(home, database));
  EXPECT_FALSE(path_exists(path));
}

TEST_F(SandboxesTest, SweepLeavesTheLocksOfSandboxesThatAreStopped) {
  add(row("stopped"));
  ASSERT_TRUE(*try_lock_sandbox(home, "stopped"));
  ASSERT_TRUE(*try_lock_sandbox(home, "gone"));
  ASSERT_TRUE(sweep_leftovers(home, database));
  EXPECT_TRUE(path_exists(home.lifecycle_lock("stopped")));
  EXPECT_FALSE(path_exists(home.lifecycle_lock("gone")));
}

// A directory plays the control group: a kernel's with a process in it cannot be removed either.
TEST_F(SandboxesTest, SweepTakesControlGroupsThatNothingRunsIn) {
  for (const char* name : {"dead", "alive", "lived-in", "stopped"}) {
    ASSERT_TRUE(home.make_dir(cat(home.tmp_dir(), "/", name)));
    ASSERT_TRUE(leave_cgroup_trace(home, name, cat(home.tmp_dir(), "/", name)));
  }
  ASSERT_TRUE(write_file_atomic(home.tmp_dir() + "/lived-in/cgroup.events", "populated 1\nfrozen 0\n"));
  add(row("stopped"));
  auto lock = *try_lock_sandbox(home, "alive");
  ASSERT_TRUE(sweep_leftovers(home, database));
  for (const char* name : {"dead", "stopped"}) {
    EXPECT_FALSE(path_exists(cat(home.tmp_dir(), "/", name))) << name;
    EXPECT_EQ(traced_cgroup(home.cgroup_trace(name)), "") << name;
  }
  for (const char* name : {"alive", "lived-in"}) {
    EXPECT_TRUE(path_exists(cat(home.tmp_dir(), "/", name))) << name;
    EXPECT_NE(traced_cgroup(home.cgroup_trace(name)), "") << name;
  }
}

TEST_F(SandboxesTest, SweepTakesARuntimeThatWasNotFinishedUnlessItIsBeingMade) {
  std::string half = home.tmp_dir() + "/runtime-x";
  ASSERT_TRUE(home.make_dir(half));
  ASSERT_TRUE(home.make_dir(home.locks_dir()));
  {
    auto making = FileLock::acquire(home.lock("runtime"), LockMode::exclusive);
    ASSERT_TRUE(making);
    ASSERT_TRUE(sweep_leftovers(home, database));
    EXPECT_TRUE(path_exists(half));
  }
  ASSERT_TRUE(sweep_leftovers(home, database));
  EXPECT_FALSE(path_exists(half));
}

TEST_F(SandboxesTest, RemoveCanKeepTheLogs) {
  add(row("a"));
  ASSERT_TRUE(write_file_atomic(home.exec_log("a"), "said"));
  ASSERT_TRUE(write_file_atomic(home.upper("a"), "disk"));
  auto removed = remove_sandbox(home, database, "a", Keep::logs);
  ASSERT_TRUE(removed) << removed.error().to_string();
  EXPECT_EQ(*read_file(home.exec_log("a")), "said");
  EXPECT_FALSE(path_exists(home.upper("a")));
  EXPECT_FALSE(*find_sandbox(database, "a"));
}

}  // namespace
}  // namespace msb::state
