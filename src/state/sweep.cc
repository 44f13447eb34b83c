#include <unistd.h>

#include <set>

#include "base/temp_dir.h"
#include "state/cgroup_trace.h"
#include "state/runtime_files.h"
#include "state/sandboxes.h"
#include "state/trash.h"

namespace msb::state {
namespace {

// The part of their name that the files of one sandbox share.
std::string stem_of(const std::string& name) {
  if (name.ends_with(kCgroupSuffix)) return name.substr(0, name.size() - kCgroupSuffix.size());
  if (!name.ends_with(".lock") && !name.ends_with(".sock")) return {};
  return name.substr(0, name.size() - 5);
}

// Stems in run/ with a control group that nothing runs in. Somebody may be about to start there.
std::set<std::string> idle_groups(const Home& home) {
  std::set<std::string> stems;
  for (const auto& name : names_in(home.run_dir()))
    if (name.ends_with(kCgroupSuffix) && !cgroup_in_use(cat(home.run_dir(), "/", name))) stems.insert(stem_of(name));
  return stems;
}

// Stems in run/ that belong to no sandbox. Somebody may be about to give them one.
Result<std::set<std::string>> ownerless(const Home& home, Database& database) {
  std::set<std::string> stems;
  // Read before the database: what a creator has put there meanwhile is not in the set.
  for (const auto& name : names_in(home.run_dir()))
    if (auto stem = stem_of(name); !stem.empty()) stems.insert(std::move(stem));
  if (stems.empty()) return stems;
  MSB_CHECK(database.query("SELECT name FROM sandbox", {},
                           [&](const Row& row) { stems.erase(Home::run_name(row.text(0))); }));
  return stems;
}

// A kernel's extraction that was cut off.
Result<> sweep_runtime(const Home& home) {
  std::optional<FileLock> lock;
  for (const auto& name : names_in(home.tmp_dir())) {
    if (!name.starts_with(kRuntimePrefix)) continue;
    if (!lock) {
      MSB_CHECK(home.make_dir(home.locks_dir()));
      MSB_TRY(lock, FileLock::try_acquire(home.lock(kRuntimeLock), LockMode::exclusive));
      if (!lock) return {};  // one is going on
    }
    // Those that were seen before the lock was had may have become the runtime: then they are not there.
    MSB_CHECK(remove_tree(cat(home.tmp_dir(), "/", name)));
  }
  return {};
}

}  // namespace

Result<> sweep_leftovers(const Home& home, Database& database) {
  MSB_CHECK(sweep_trash(home));
  MSB_CHECK(sweep_runtime(home));
  MSB_TRY(auto stems, ownerless(home, database));
  std::set<std::string> groups = idle_groups(home);
  if (stems.empty() && groups.empty()) return {};

  // Locks are tried inside a transaction only; see sandboxes.h.
  MSB_TRY(auto transaction, database.begin());
  for (const auto& stem : groups) {
    std::string path = cat(home.run_dir(), "/", stem);
    MSB_TRY(auto lock, FileLock::try_acquire(path + ".lock", LockMode::exclusive));
    if (lock) remove_cgroup(cat(path, kCgroupSuffix));
  }
  for (const auto& stem : stems) {
    std::string path = cat(home.run_dir(), "/", stem);
    MSB_TRY(auto lock, FileLock::try_acquire(path + ".lock", LockMode::exclusive));
    if (!lock) continue;
    ::unlink((path + ".sock").c_str());
    ::unlink((path + ".lock").c_str());
  }
  return transaction.commit();
}

}  // namespace msb::state
