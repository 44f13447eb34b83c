#include "state/draft.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdio>

namespace msb::state {

Result<Draft> Draft::begin(const Home& home, const std::string& directory) {
  if (directory.empty()) MSB_CHECK(home.make_dir(home.trash_dir()));
  MSB_TRY(TempDir draft, TempDir::create(directory.empty() ? home.trash_dir() : directory, ".draft-"));
  // (Where directories cannot be locked, as on NFS, a sweep gets no lock either.)
  auto lock = FileLock::try_acquire_existing(draft.path(), LockMode::exclusive);
  return Draft(std::move(draft), lock ? std::move(*lock) : std::nullopt);
}

Result<bool> Draft::publish(const std::string& goal) {
  if (::renameat2(AT_FDCWD, path().c_str(), AT_FDCWD, goal.c_str(), RENAME_NOREPLACE) < 0) {
    if (errno == EEXIST || errno == ENOTEMPTY) return false;
    return fail_errno(cat("put ", goal, " in place"));
  }
  (void)directory_.release();
  return true;
}

Result<> Draft::replace(const std::string& goal) {
  MSB_TRY(bool done, publish(goal));
  if (done) return {};
  // The draft is the old one now, and goes with this object.
  if (::renameat2(AT_FDCWD, path().c_str(), AT_FDCWD, goal.c_str(), RENAME_EXCHANGE) < 0)
    return fail_errno(cat("put ", goal, " in place"));
  return {};
}

}  // namespace msb::state
