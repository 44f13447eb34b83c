#include "state/trash.h"

#include <cstdio>

#include "base/temp_dir.h"
#include "state/sandboxes.h"

namespace msb::state {

Result<Trash> Trash::take(const Home& home, const std::string& directory) {
  if (!path_exists(directory)) return Trash();
  // Locked before it becomes trash: there is no moment at which a sweep could take it from under us.
  // (Where directories cannot be locked, as on NFS, none is, and a sweep gets no lock either.)
  auto lock = FileLock::try_acquire_existing(directory, LockMode::exclusive);
  if (lock && !*lock) return fail(ErrorKind::internal, cat(directory, " is being removed by somebody else"));
  MSB_CHECK(home.make_dir(home.trash_dir()));
  std::string path = cat(home.trash_dir(), "/", Home::run_name(directory), "-", now_ms());
  if (::rename(directory.c_str(), path.c_str()) < 0) return fail_errno(cat("remove ", directory));
  return Trash(std::move(path), lock ? std::move(*lock) : std::nullopt);
}

Result<> Trash::empty() {
  return path_.empty() ? Result<>() : remove_tree(path_);
}

Result<> sweep_trash(const Home& home) {
  for (const auto& name : names_in(home.trash_dir())) {
    std::string path = cat(home.trash_dir(), "/", name);
    MSB_TRY(auto lock, FileLock::try_acquire_existing(path, LockMode::exclusive));
    if (lock) MSB_CHECK(remove_tree(path));
  }
  return {};
}

}  // namespace msb::state
