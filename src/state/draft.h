// Draft: a directory in the making. It lies where a sweep finds it when its maker was killed, and gets its name when it
// is finished: nobody ever sees half of it.
//
//   MSB_TRY(auto draft, Draft::begin(home));
//   ... fill draft.path() ...
//   MSB_TRY(bool mine, draft.publish(home.volume_dir(name)));     // false: there is one already
#pragma once

#include <optional>
#include <string>

#include "base/file_lock.h"
#include "base/temp_dir.h"
#include "state/home.h"

namespace msb::state {

class [[nodiscard]] Draft {
 public:
  // In trash/, unless another directory of the same file system as the goal is named. Failures: io.
  static Result<Draft> begin(const Home& home, const std::string& directory = {});

  const std::string& path() const { return directory_.path(); }
  // False when something is there already, which stays.
  Result<bool> publish(const std::string& goal);
  // What was there goes.
  Result<> replace(const std::string& goal);

 private:
  Draft(TempDir directory, std::optional<FileLock> lock) : directory_(std::move(directory)), lock_(std::move(lock)) {}
  TempDir directory_;
  std::optional<FileLock> lock_;  // against a sweep
};

}  // namespace msb::state
