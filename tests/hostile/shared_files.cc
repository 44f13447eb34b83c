#include "shared_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <set>

namespace msb::hostile {
namespace {

constexpr const char* kText = "as it was";

std::set<std::string> names_in(const std::string& directory) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) names.insert(entry.path().filename());
  return names;
}

bool as_it_was(const std::string& path) {
  auto file = open_file(path);
  if (!file) return false;
  auto text = read_all(file->get(), 4096);
  struct stat status{};
  return text && as_text(*text) == kText && ::fstat(file->get(), &status) == 0 && (status.st_mode & 07777) == 0644;
}

Result<> write_text(const std::string& path) {
  MSB_CHECK(write_file_atomic(path, kText));
  return ::chmod(path.c_str(), 0644) == 0 ? Result<>() : fail_errno("set a mode");
}

}  // namespace

Result<SharedFiles> SharedFiles::create() {
  MSB_TRY(TempDir folder, TempDir::create());
  SharedFiles files(std::move(folder));
  MSB_CHECK(write_text(files.path("secret")));
  for (const std::string share : {"rw", "ro"}) {
    if (::mkdir(files.path(share).c_str(), 0755) < 0 || ::mkdir(files.path(share + "/dir").c_str(), 0755) < 0 ||
        ::symlink("../secret", files.path(share + "/link").c_str()) < 0)
      return fail_errno("make a directory to share");
    MSB_CHECK(write_text(files.path(share + "/file")));
  }
  return files;
}

bool SharedFiles::are_contained() const {
  return names_in(folder_.path()) == std::set<std::string>{"ro", "rw", "secret"} && as_it_was(path("secret")) &&
         names_in(path("ro")) == std::set<std::string>{"dir", "file", "link"} && names_in(path("ro/dir")).empty() &&
         as_it_was(path("ro/file"));
}

}  // namespace msb::hostile
