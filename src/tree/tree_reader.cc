#include "tree/tree_reader.h"

#include <dirent.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace msb::tree {
namespace {

struct CloseDirectory {
  void operator()(DIR* stream) const { ::closedir(stream); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

struct Level {
  Directory stream;
  size_t path_size;  // of the path that names it
  dev_t device;
};

bool is_kernel_file_system(int fd) {
  constexpr long kMqueueMagic = 0x19800202;
  constexpr long kConfigfsMagic = 0x62656570;
  struct statfs info;
  if (::fstatfs(fd, &info) < 0) return false;
  switch (static_cast<long>(info.f_type)) {
    case PROC_SUPER_MAGIC:
    case SYSFS_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case DEVPTS_SUPER_MAGIC:
    case DEBUGFS_MAGIC:
    case TRACEFS_MAGIC:
    case SECURITYFS_MAGIC:
    case BPF_FS_MAGIC:
    case kMqueueMagic:
    case kConfigfsMagic:
      return true;
    default:
      return false;
  }
}

class Reader {
 public:
  Reader(std::string path, const ReadOptions& options, TreeSink& sink)
      : path_(std::move(path)), options_(options), sink_(sink) {}

  Result<> run() {
    Fd root(::open(path_.c_str(), O_PATH | O_CLOEXEC | (options_.follow ? 0 : O_NOFOLLOW)));
    if (!root) return failed("read");
    struct stat status;
    if (::fstat(root.get(), &status) < 0) return failed("read");
    size_t end = path_.find_last_not_of('/');
    std::string trimmed = end == std::string::npos ? "" : path_.substr(0, end + 1);
    std::string name = trimmed.substr(trimmed.rfind('/') + 1);
    MSB_CHECK(add(root.get(), "", name, status));
    while (!levels_.empty()) MSB_CHECK(step());
    return {};
  }

 private:
  tl::unexpected<Error> failed(std::string_view what, int errnum = errno) const {
    return fail_errno(cat(what, " ", printable_path(path_)), errnum);
  }

  Result<> step() {
    errno = 0;
    dirent* entry = ::readdir(levels_.back().stream.get());
    if (!entry) {
      if (errno != 0) return failed("read the directory");
      levels_.pop_back();
      if (!levels_.empty()) path_.resize(levels_.back().path_size);
      return sink_.leave();
    }
    std::string name = entry->d_name;
    if (name == "." || name == "..") return {};
    int folder = ::dirfd(levels_.back().stream.get());
    path_.resize(levels_.back().path_size);
    if (!path_.ends_with('/')) path_ += '/';
    path_ += name;
    struct stat status;
    if (::fstatat(folder, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0)
      return errno == ENOENT ? Result<>() : failed("read");
    return add(folder, name, name, status);
  }

  // `at` is relative to `folder`; empty: `folder` is the thing itself, opened with O_PATH.
  Result<> add(int folder, const std::string& at, const std::string& name, const struct stat& status) {
    wire::TreeEntry entry;
    entry.kind = kind_of(status.st_mode);
    entry.name = as_bytes(name);
    entry.mode = status.st_mode & 07777;
    if (!options_.as_root) entry.uid = status.st_uid, entry.gid = status.st_gid;
    entry.mtime_ns = to_nanoseconds(status.st_mtim);
    switch (entry.kind) {
      case wire::FileKind::socket:
        if (at.empty()) return failed("copy a socket:", EOPNOTSUPP);
        return {};
      case wire::FileKind::file:
        return add_file(folder, at, entry);
      case wire::FileKind::directory:
        return add_directory(folder, at, entry, status.st_dev);
      case wire::FileKind::symlink:
        return add_symlink(folder, at, entry);
      default:
        entry.device = uint64_t{major(status.st_rdev)} << 32 | minor(status.st_rdev);
        return sink_.entry(entry);
    }
  }

  // Opens for reading what fstat has seen. A file that was exchanged for a FIFO must not hold us up.
  Fd open_again(int folder, const std::string& at, int flags) const {
    flags |= O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    if (!at.empty()) return Fd(::openat(folder, at.c_str(), flags | O_NOFOLLOW));
    if (flags & O_DIRECTORY) return Fd(::openat(folder, ".", flags));
    return Fd(::open(path_.c_str(), flags | (options_.follow ? 0 : O_NOFOLLOW)));
  }

  Result<> add_file(int folder, const std::string& at, wire::TreeEntry& entry) {
    Fd file = open_again(folder, at, 0);
    if (!file) return errno == ENOENT && !at.empty() ? Result<>() : failed("open");
    struct stat status;
    if (::fstat(file.get(), &status) < 0) return failed("read");
    if (!S_ISREG(status.st_mode)) return failed("read", EINVAL);
    entry.size = static_cast<uint64_t>(status.st_size);
    MSB_CHECK(sink_.entry(entry));
    return read_contents(file.get(), path_, sink_);
  }

  Result<> add_directory(int folder, const std::string& at, const wire::TreeEntry& entry, dev_t device) {
    Fd directory = open_again(folder, at, O_DIRECTORY);
    if (!directory) return errno == ENOENT && !at.empty() ? Result<>() : failed("open the directory");
    if (levels_.size() >= kMaxDepth) return failed("open the directory", ELOOP);
    MSB_CHECK(sink_.entry(entry));
    if (!levels_.empty() && levels_.back().device != device && is_kernel_file_system(directory.get()))
      return sink_.leave();
    Directory stream(::fdopendir(directory.get()));
    if (!stream) return failed("read the directory");
    (void)directory.release();
    levels_.push_back({std::move(stream), path_.size(), device});
    return {};
  }

  Result<> add_symlink(int folder, const std::string& at, wire::TreeEntry& entry) {
    char target[kMaxPath + 1];
    ssize_t size = ::readlinkat(folder, at.c_str(), target, sizeof(target));
    if (size < 0) return errno == ENOENT && !at.empty() ? Result<>() : failed("read the link");
    if (static_cast<size_t>(size) > kMaxPath) return failed("read the link", ENAMETOOLONG);
    entry.target = ByteView(reinterpret_cast<const uint8_t*>(target), static_cast<size_t>(size));
    return sink_.entry(entry);
  }

  std::string path_;  // of what is being read
  ReadOptions options_;
  TreeSink& sink_;
  std::vector<Level> levels_;
};

// Gives [from, to) to the sink; returns where it ended, which is earlier when the file is shorter by now.
Result<uint64_t> read_range(int file, const std::string& path, uint64_t from, uint64_t to, TreeSink& sink) {
  while (from < to) {
    MutableByteView room = sink.room();
    room = room.first(std::min<uint64_t>(room.size(), to - from));
    ssize_t count = ::pread(file, room.data(), room.size(), static_cast<off_t>(from));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(cat("read ", printable_path(path)));
    if (count == 0) break;
    MSB_CHECK(sink.data(room.first(static_cast<size_t>(count))));
    from += static_cast<uint64_t>(count);
  }
  return from;
}

}  // namespace

// Times out of range are as far as can be said.
int64_t to_nanoseconds(const timespec& time) {
  int64_t value;
  if (__builtin_mul_overflow(time.tv_sec, int64_t{1'000'000'000}, &value) ||
      __builtin_add_overflow(value, int64_t{time.tv_nsec}, &value))
    return time.tv_sec < 0 ? INT64_MIN : INT64_MAX;
  return value;
}

wire::FileKind kind_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return wire::FileKind::directory;
    case S_IFLNK:
      return wire::FileKind::symlink;
    case S_IFIFO:
      return wire::FileKind::fifo;
    case S_IFSOCK:
      return wire::FileKind::socket;
    case S_IFCHR:
      return wire::FileKind::char_device;
    case S_IFBLK:
      return wire::FileKind::block_device;
    default:
      return wire::FileKind::file;
  }
}

Result<> read_tree(const std::string& path, const ReadOptions& options, TreeSink& sink) {
  return Reader(path, options, sink).run();
}

Result<> read_contents(int file, const std::string& path, TreeSink& sink) {
  struct stat status;
  if (::fstat(file, &status) < 0) return fail_errno(cat("read ", printable_path(path)));
  // Files of /proc say 0 and hold more. Of others no more than they had at first: a log may grow for ever.
  uint64_t size = status.st_size > 0 ? static_cast<uint64_t>(status.st_size) : kMaxFileSize;
  bool sparse = status.st_size > 0 && static_cast<uint64_t>(status.st_blocks) * 512 < size;
  uint64_t at = 0;
  while (sparse && at < size) {
    off_t data = ::lseek(file, static_cast<off_t>(at), SEEK_DATA);
    // EINVAL: the file system knows no holes. ENXIO: nothing but a hole is left.
    if (data < 0 && errno != ENXIO) break;
    uint64_t start = data < 0 ? size : std::min<uint64_t>(static_cast<uint64_t>(data), size);
    if (start > at) MSB_CHECK(sink.hole(start - at));
    if (start == size) return sink.end();
    off_t hole = ::lseek(file, static_cast<off_t>(start), SEEK_HOLE);
    uint64_t stop = hole < 0 ? size : std::min<uint64_t>(static_cast<uint64_t>(hole), size);
    MSB_TRY(uint64_t ended, read_range(file, path, start, stop, sink));
    if (ended < stop) return sink.end();
    at = stop;
  }
  MSB_CHECK(read_range(file, path, at, size, sink));
  return sink.end();
}

}  // namespace msb::tree
