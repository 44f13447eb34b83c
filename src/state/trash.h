// Trash: the directory of a sandbox or a volume on its way out. It is moved to trash/ first, where nobody looks for
// sandboxes, and deleted there. The flock on the moved directory is held until it is gone, so that a sweep takes only
// what a killed process has left half deleted.
#pragma once

#include <optional>
#include <string>

#include "base/file_lock.h"
#include "state/home.h"

namespace msb::state {

class [[nodiscard]] Trash {
 public:
  // Moves the directory, which the caller alone may remove (a sandbox's: by its lifecycle lock). None there is success.
  static Result<Trash> take(const Home& home, const std::string& directory);

  // Where it is now; empty when there was none.
  const std::string& path() const { return path_; }
  // Deletes it. Unless this is called, the next sweep does.
  Result<> empty();

 private:
  Trash(std::string path, std::optional<FileLock> lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  Trash() = default;
  std::string path_;
  std::optional<FileLock> lock_;
};

// Deletes what others have left; passes over what somebody is deleting just now.
Result<> sweep_trash(const Home& home);

}  // namespace msb::state
