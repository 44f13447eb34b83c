#include "image/archive_files.h"

#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vector>

#include "image/json.h"
#include "image/tar_unpack.h"

namespace msb::image {
namespace {

constexpr int kMaxAliases = 8;

// "./a//b" is "a/b". nullopt for what is absolute, empty or goes up.
std::optional<std::string> normalise(std::string_view name) {
  if (name.starts_with('/') || name.size() > 4096) return std::nullopt;
  std::string out;
  for (size_t start = 0; start <= name.size();) {
    const size_t end = std::min(name.find('/', start), name.size());
    const std::string_view part = name.substr(start, end - start);
    start = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") return std::nullopt;
    out += (out.empty() ? "" : "/") + std::string(part);
  }
  return out.empty() ? std::nullopt : std::optional(out);
}

// Where a symlink inside the archive points, seen from its directory; nullopt when that is outside.
std::optional<std::string> follow(std::string_view link, std::string_view target) {
  if (target.starts_with('/')) return std::nullopt;
  std::vector<std::string_view> parts;
  const auto push = [&](std::string_view path) {
    for (size_t start = 0; start <= path.size();) {
      const size_t end = std::min(path.find('/', start), path.size());
      const std::string_view part = path.substr(start, end - start);
      start = end + 1;
      if (part.empty() || part == ".") continue;
      if (part != "..") {
        parts.push_back(part);
      } else if (parts.empty()) {
        return false;
      } else {
        parts.pop_back();
      }
    }
    return true;
  };
  const size_t slash = link.rfind('/');
  if (!push(slash == std::string_view::npos ? std::string_view() : link.substr(0, slash)) || !push(target))
    return std::nullopt;
  std::string out;
  for (const auto part : parts) out += (out.empty() ? "" : "/") + std::string(part);
  return out;
}

Error bad_name(std::string_view name) {
  return Error(ErrorKind::corrupt,
               cat("the archive names the file '", name.substr(0, 200), "', which is outside of it"));
}
Error missing(std::string_view name) {
  return Error(ErrorKind::path_not_found, cat("the archive has no file ", name.substr(0, 200)));
}

class DirectoryFiles final : public ArchiveFiles {
 public:
  explicit DirectoryFiles(Fd directory) : directory_(std::move(directory)) {}

  Result<Fd> open(const std::string& name) const override {
    const auto path = normalise(name);
    if (!path) return fail(bad_name(name));
    open_how how{};
    how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;  // a FIFO must not hang us
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    Fd fd(static_cast<int>(::syscall(SYS_openat2, directory_.get(), path->c_str(), &how, sizeof how)));
    if (!fd && errno == ENOENT) return fail(missing(name));
    if (!fd && errno == EXDEV) return fail(bad_name(name));
    if (!fd) return fail_errno(cat("open ", name, " in the archive"));
    struct stat status{};
    if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return fail(missing(name));
    return fd;
  }

 private:
  Fd directory_;
};

class SpooledFiles final : public ArchiveFiles, public TarSink {
 public:
  explicit SpooledFiles(std::string directory) : directory_(std::move(directory)) {}

  Result<Fd> open(const std::string& name) const override {
    auto path = normalise(name);
    if (!path) return fail(bad_name(name));
    for (int hops = 0; hops < kMaxAliases; ++hops) {
      if (const auto file = files_.find(*path); file != files_.end()) return open_file(file->second);
      const auto alias = aliases_.find(*path);
      if (alias == aliases_.end()) break;
      path = alias->second;
    }
    return fail(missing(name));
  }

  Result<> begin_entry(TarEntry& entry) override {
    current_ = Fd();
    const auto name = normalise(entry.path);
    // The directory "./" itself, and what cannot be meant: nothing in the index can name them.
    if (!name) return {};
    if (files_.size() + aliases_.size() >= kMaxArchiveFiles)
      return fail(ErrorKind::corrupt, "the archive has more than 100000 files");
    if (entry.type == TarType::hard_link) {
      if (const auto target = normalise(entry.link_target)) aliases_[*name] = *target;
    } else if (entry.type == TarType::symlink) {
      if (const auto target = follow(*name, entry.link_target)) aliases_[*name] = *target;
    } else if (entry.type == TarType::file && !entry.sparse) {
      const std::string path = cat(directory_, "/file-", files_.size());
      MSB_TRY(current_, open_file(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
      files_.insert_or_assign(*name, path);
    }
    return {};
  }
  Result<> data(ByteView bytes) override {
    total_ += bytes.size();
    if (total_ > kMaxArchiveBytes) return fail(ErrorKind::corrupt, "the archive is larger than 64 GiB");
    return current_ ? write_full(current_.get(), bytes) : Result<>();
  }
  Result<> end_entry() override {
    current_ = Fd();
    return {};
  }

 private:
  std::string directory_;
  std::map<std::string, std::string> files_;
  std::map<std::string, std::string> aliases_;
  Fd current_;
  uint64_t total_ = 0;
};

}  // namespace

Result<std::string> ArchiveFiles::text(const std::string& name) const {
  MSB_TRY(const auto fd, open(name));
  auto bytes = read_all(fd.get(), kMaxManifestBytes);
  if (!bytes) return fail(std::move(bytes).error().context(cat("read ", name, " in the archive")));
  return std::string(as_text(*bytes));
}

Result<std::unique_ptr<ArchiveFiles>> ArchiveFiles::open_archive(const std::string& path, const WorkDir& work) {
  Fd input;
  if (path != "-") {
    auto opened = open_file(path);
    if (!opened) return fail(std::move(opened).error().as(ErrorKind::path_not_found));
    input = std::move(*opened);
    struct stat status{};
    if (::fstat(input.get(), &status) != 0) return fail_errno(cat("look at ", path));
    if (S_ISDIR(status.st_mode)) return std::make_unique<DirectoryFiles>(std::move(input));
  }
  auto files = std::make_unique<SpooledFiles>(work.path());
  MSB_CHECK(unpack_tar(path == "-" ? STDIN_FILENO : input.get(), *files));
  return files;
}

}  // namespace msb::image
