// TempDir: a fresh directory, removed with everything in it at the end of the scope.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace msb {

class [[nodiscard]] TempDir {
 public:
  // Under `parent`, or under $TMPDIR or /tmp when it is empty.
  static Result<TempDir> create(const std::string& parent = {}, const std::string& prefix = "msb-");
  TempDir(TempDir&& other) noexcept;
  TempDir& operator=(TempDir&& other) noexcept;
  ~TempDir();

  const std::string& path() const { return path_; }
  std::string release();  // keeps the directory

 private:
  explicit TempDir(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// Removes a file or tree; a missing one is success. Never follows symlinks.
Result<> remove_tree(const std::string& path);
// mkdir -p.
Result<> make_dirs(const std::string& path, unsigned mode = 0755);
// The names in a directory, in no order; none when it cannot be read.
std::vector<std::string> names_in(const std::string& directory);
bool path_exists(const std::string& path);

}  // namespace msb
