#include "agent/tree_copy.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/fd.h"

namespace msb::agent {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Listing = std::unique_ptr<DIR, CloseDirectory>;

// overlayfs's mark for "nothing here".
bool is_whiteout(const struct stat& status) {
  return S_ISCHR(status.st_mode) && status.st_rdev == 0;
}

Result<Listing> list(int directory) {
  Fd own(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* opened = own ? ::fdopendir(own.get()) : nullptr;
  if (!opened) return fail_errno("list a directory");
  (void)own.release();
  return Listing(opened);
}

// The next name; nullptr at the end.
Result<const char*> next(DIR* listing) {
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(listing);
    if (!entry && errno) return fail_errno("list a directory");
    if (!entry) return nullptr;
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") return entry->d_name;
  }
}

// For calls that know no directory descriptors.
std::string path_of(int directory, const char* name) {
  return cat("/proc/self/fd/", directory, "/", name);
}

class Copier {
 public:
  // Of a directory into an empty one.
  Result<> directory(int from, int to, const std::string& path) {
    MSB_TRY(Listing listing, list(from));
    while (true) {
      MSB_TRY(const char* name, next(listing.get()));
      if (!name) return {};
      if (auto copied = entry(from, to, name, cat(path, "/", name)); !copied) return copied;
    }
  }

  Result<> metadata(int from, int to, const char* name, const struct stat& status) {
    MSB_CHECK(attributes(path_of(from, name), path_of(to, name)));
    if (::fchownat(to, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) < 0) return fail_errno("set the owner");
    // After the owner, which clears set-uid bits. Links have no mode.
    if (!S_ISLNK(status.st_mode) && ::fchmodat(to, name, status.st_mode & 07777, 0) < 0)
      return fail_errno("set the mode");
    const timespec times[2] = {status.st_mtim, status.st_mtim};
    if (::utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0) return fail_errno("set the time");
    return {};
  }

  void start_at(int top) { top_ = top; }

 private:
  Result<> entry(int from, int to, const char* name, const std::string& path) {
    auto copied = copy_entry(from, to, name, path);
    // Once, where it happened: its own error has no path.
    if (!copied && copied.error().trail().empty()) return fail(std::move(copied).error().context(cat("copy ", path)));
    return copied;
  }

  Result<> copy_entry(int from, int to, const char* name, const std::string& path) {
    struct stat status;
    if (::fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) < 0) return fail_errno("look at it");
    if (is_whiteout(status)) return {};
    if (!S_ISDIR(status.st_mode) && status.st_nlink > 1) {
      auto [first, fresh] = links_.try_emplace(status.st_ino, path.substr(1));
      if (!fresh) {
        if (::linkat(top_, first->second.c_str(), to, name, 0) < 0) return fail_errno("make a hard link");
        return {};
      }
    }
    MSB_CHECK(contents(from, to, name, path, status));
    return metadata(from, to, name, status);
  }

  Result<> contents(int from, int to, const char* name, const std::string& path, const struct stat& status) {
    switch (status.st_mode & S_IFMT) {
      case S_IFDIR: {
        if (::mkdirat(to, name, 0700) < 0) return fail_errno("make the directory");
        MSB_TRY(Fd source, open_at(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
        MSB_TRY(Fd target, open_at(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
        return directory(source.get(), target.get(), path);
      }
      case S_IFREG: {
        MSB_TRY(Fd source, open_at(from, name, O_RDONLY | O_NOFOLLOW));
        MSB_TRY(Fd target, open_at(to, name, O_WRONLY | O_CREAT | O_EXCL, 0600));
        return data(source.get(), target.get(), status.st_size);
      }
      case S_IFLNK: {
        char link[4097];
        ssize_t length = ::readlinkat(from, name, link, sizeof(link) - 1);
        if (length < 0) return fail_errno("read the link");
        link[length] = 0;
        if (::symlinkat(link, to, name) < 0) return fail_errno("make the link");
        return {};
      }
      default:
        if (::mknodat(to, name, status.st_mode, status.st_rdev) < 0) return fail_errno("make the device");
        return {};
    }
  }

  Result<> data(int from, int to, off_t size) {
    if (::ftruncate(to, size) < 0) return fail_errno("set the size");
    for (off_t at = 0; at < size;) {
      off_t start = ::lseek(from, at, SEEK_DATA);
      if (start < 0 && errno == ENXIO) return {};  // a hole up to the end
      if (start < 0) return fail_errno("find its data");
      off_t end = ::lseek(from, start, SEEK_HOLE);
      if (end < 0) return fail_errno("find its data");
      for (at = start; at < end;) {
        MutableByteView part = MutableByteView(buffer_).first(std::min<size_t>(buffer_.size(), end - at));
        MSB_CHECK(pread_full(from, part, at));
        MSB_CHECK(pwrite_full(to, part, at));
        at += static_cast<off_t>(part.size());
      }
    }
    return {};
  }

  // A file system without attributes has none to copy.
  Result<> attributes(const std::string& from, const std::string& to) {
    ssize_t length = ::llistxattr(from.c_str(), names_.data(), names_.size());
    if (length < 0 && errno != ENOTSUP) return fail_errno("list its attributes");
    for (ssize_t at = 0; at < length;) {
      const char* name = names_.data() + at;
      at += static_cast<ssize_t>(std::string_view(name).size()) + 1;
      ssize_t size = ::lgetxattr(from.c_str(), name, value_.data(), value_.size());
      if (size < 0 || ::lsetxattr(to.c_str(), name, value_.data(), static_cast<size_t>(size), 0) < 0)
        return fail_errno(cat("copy the attribute ", name));
    }
    return {};
  }

  int top_ = -1;
  std::unordered_map<ino_t, std::string> links_;  // where the first name of a file is, below the top
  Bytes buffer_ = Bytes(256 * 1024);
  std::vector<char> names_ = std::vector<char>(65536);  // the kernel's own limits
  std::vector<char> value_ = std::vector<char>(65536);
};

Result<> remove_contents(int directory) {
  MSB_TRY(Listing listing, list(directory));
  while (true) {
    MSB_TRY(const char* name, next(listing.get()));
    if (!name) return {};
    if (::unlinkat(directory, name, 0) == 0) continue;
    if (errno != EISDIR) return fail_errno(cat("remove ", name));
    {
      MSB_TRY(Fd child, open_at(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      MSB_CHECK(remove_contents(child.get()));
    }
    if (::unlinkat(directory, name, AT_REMOVEDIR) < 0) return fail_errno(cat("remove ", name));
  }
}

}  // namespace

Result<> copy_tree(const std::string& source, const std::string& target) {
  struct stat status;
  if (::stat(source.c_str(), &status) < 0) return fail_errno(cat("look at ", source));
  if (::mkdir(target.c_str(), 0700) < 0) return fail_errno(cat("make ", target));
  MSB_TRY(Fd from, open_file(source, O_RDONLY | O_DIRECTORY));
  MSB_TRY(Fd to, open_file(target, O_RDONLY | O_DIRECTORY));
  Copier copier;
  copier.start_at(to.get());
  MSB_CHECK(copier.directory(from.get(), to.get(), ""));
  return copier.metadata(from.get(), to.get(), ".", status);
}

Result<> remove_tree(const std::string& path) {
  auto directory = open_file(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!directory && directory.error().errnum() == ENOENT) return {};
  if (!directory) return fail(std::move(directory).error());
  MSB_CHECK(remove_contents(directory->get()));
  if (::rmdir(path.c_str()) < 0) return fail_errno(cat("remove ", path));
  return {};
}

}  // namespace msb::agent
