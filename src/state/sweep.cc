#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "base/temp_dir.h"
#include "state/sandboxes.h"

namespace msb::state {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> entries_of(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error))
    names.push_back(at->path().filename().string());
  return names;
}

}  // namespace

Result<> sweep_leftovers(const Home& home, Database& database) {
  for (const auto& name : entries_of(home.tmp_dir()))
    if (name.starts_with("removed-")) MSB_CHECK(remove_tree(home.tmp_dir() + "/" + name));

  // Locks are tried inside a transaction only; see sandboxes.h.
  MSB_TRY(auto transaction, database.begin());
  for (const auto& name : entries_of(home.run_dir())) {
    if (!name.ends_with(".lock") && !name.ends_with(".sock")) continue;
    std::string stem = home.run_dir() + "/" + name.substr(0, name.size() - 5);
    MSB_TRY(auto lock, FileLock::try_acquire(stem + ".lock", LockMode::exclusive));
    if (!lock) continue;
    ::unlink((stem + ".sock").c_str());
    ::unlink((stem + ".lock").c_str());
  }
  return transaction.commit();
}

}  // namespace msb::state
