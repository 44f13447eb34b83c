#include "tree/testing/snapshot.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "base/fd.h"

namespace msb::tree::testing {

std::vector<std::string> snapshot(const std::string& directory, Times times) {
  std::vector<std::string> lines;
  for (const auto& item : std::filesystem::recursive_directory_iterator(directory)) {
    std::string path = item.path().string();
    struct stat status;
    if (::lstat(path.c_str(), &status) < 0) continue;
    std::string line = cat(path.substr(directory.size()), " ", status.st_mode);
    if (times == Times::compared) line += cat(" ", status.st_mtim.tv_sec, ".", status.st_mtim.tv_nsec);
    if (S_ISREG(status.st_mode)) line += cat(" ", read_file(path).value_or("unreadable"));
    if (S_ISLNK(status.st_mode)) line += cat(" -> ", std::filesystem::read_symlink(item.path()).string());
    lines.push_back(std::move(line));
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

}  // namespace msb::tree::testing
