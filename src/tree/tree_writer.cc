#include "tree/tree_writer.h"

#include <sys/sysmacros.h>
#include <unistd.h>

namespace msb::tree {
namespace {

constexpr uint32_t kPermissions = 0777;
constexpr uint32_t kAllBits = 07777;
// As many paths are remembered; more would be a guest's way to fill memory.
constexpr size_t kMaxSkipped = 1000;

}  // namespace

timespec to_timespec(int64_t nanoseconds) {
  timespec time{nanoseconds / 1'000'000'000, nanoseconds % 1'000'000'000};
  if (time.tv_nsec < 0) time.tv_nsec += 1'000'000'000, --time.tv_sec;
  return time;
}

TreeWriter::~TreeWriter() {
  if (file_) ::unlinkat(folder(), file_name_.c_str(), 0);
}

std::string TreeWriter::path_of(std::string_view name) const {
  std::string path;
  for (const auto& level : levels_) path += level.name + "/";
  return printable_path(path += name);
}

tl::unexpected<Error> TreeWriter::failed(std::string_view what, std::string_view name, int errnum) const {
  return fail_errno(cat(what, " ", path_of(name)), errnum);
}

TreeWriter::Attributes TreeWriter::attributes_of(const wire::TreeEntry& entry) const {
  Attributes attributes;
  if (entry.mode) attributes.mode = *entry.mode & (trust_ == Trust::own ? kAllBits : kPermissions);
  attributes.uid = entry.uid;
  attributes.gid = entry.gid;
  attributes.times[0].tv_nsec = UTIME_OMIT;
  attributes.times[1] = to_timespec(entry.mtime_ns);
  return attributes;
}

Result<> TreeWriter::entry(const wire::TreeEntry& entry) {
  if (root_) return enter_root(entry);
  if (levels_.empty() && !parent_) return failed("make", name_, EINVAL);
  std::string name = levels_.empty() ? name_ : std::string(as_text(entry.name));
  if (!is_name(name)) return failed("make", name, EINVAL);
  if (entry.kind == wire::FileKind::directory) return enter(name, entry);
  return make(name, entry);
}

Result<> TreeWriter::enter_root(const wire::TreeEntry& entry) {
  if (entry.kind != wire::FileKind::directory) return failed("replace the directory", name_, EISDIR);
  Attributes attributes;
  attributes.times[0].tv_nsec = attributes.times[1].tv_nsec = UTIME_OMIT;
  levels_.push_back({std::move(root_), name_, attributes});
  return {};
}

Result<> TreeWriter::enter(const std::string& name, const wire::TreeEntry& entry) {
  if (levels_.size() >= kMaxDepth) return failed("make the directory", name, ELOOP);
  bool made = ::mkdirat(folder(), name.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) return failed("make the directory", name);
  Fd directory(::openat(folder(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  // A symbolic link answers ENOTDIR too.
  if (!directory) return failed(made ? "open the directory" : "enter as a directory", name);
  Attributes attributes = attributes_of(entry);
  bool root = levels_.empty();
  if (!made && (root || !entry.mode)) {
    // It was there before and is only passed through: its times are put back. The root keeps the caller's attributes.
    struct stat status;
    if (::fstat(directory.get(), &status) < 0) return failed("read", name);
    attributes.mode.reset();
    attributes.times[1] = status.st_mtim;
    if (root) attributes.times[1].tv_nsec = UTIME_OMIT;
  } else if (!entry.mode) {
    attributes.mode = 0755;
    attributes.times[1].tv_nsec = UTIME_OMIT;
  }
  levels_.push_back({std::move(directory), name, attributes});
  return {};
}

Result<> TreeWriter::make(const std::string& name, const wire::TreeEntry& entry) {
  using wire::FileKind;
  bool device = entry.kind == FileKind::char_device || entry.kind == FileKind::block_device;
  if (entry.kind == FileKind::socket || (device && trust_ == Trust::foreign)) {
    if (skipped_.size() < kMaxSkipped) skipped_.push_back(path_of(name));
    return {};
  }
  int made = try_make(name, entry);
  if (made < 0 && errno == EEXIST) {
    struct stat status;
    if (::fstatat(folder(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode))
      return failed("replace the directory", name, EISDIR);
    if (::unlinkat(folder(), name.c_str(), 0) < 0) return failed("replace", name);
    made = try_make(name, entry);
  }
  if (made < 0) return failed("make", name);
  if (entry.kind == FileKind::file) {
    file_.reset(made);
    file_name_ = name;
    file_attributes_ = attributes_of(entry);
    position_ = 0;
    ends_in_hole_ = false;
    return {};
  }
  if (entry.kind == FileKind::hard_link) return {};
  Attributes attributes = attributes_of(entry);
  if (trust_ == Trust::own && ::geteuid() == 0 &&
      ::fchownat(folder(), name.c_str(), attributes.uid, attributes.gid, AT_SYMLINK_NOFOLLOW) < 0)
    return failed("set the owner of", name);
  ::utimensat(folder(), name.c_str(), attributes.times, AT_SYMLINK_NOFOLLOW);
  return {};
}

// A descriptor for a file, 0 for anything else, -1 with errno.
int TreeWriter::try_make(const std::string& name, const wire::TreeEntry& entry) {
  using wire::FileKind;
  std::string target(as_text(entry.target));
  // The caller's umask applies to these: they are never opened here.
  mode_t mode = entry.mode.value_or(0644) & kPermissions;
  auto device = makedev(static_cast<unsigned>(entry.device >> 32), static_cast<unsigned>(entry.device));
  switch (entry.kind) {
    case FileKind::file:
      return ::openat(folder(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    case FileKind::symlink:
      return ::symlinkat(target.c_str(), folder(), name.c_str());
    case FileKind::fifo:
      return ::mkfifoat(folder(), name.c_str(), mode);
    case FileKind::char_device:
      return ::mknodat(folder(), name.c_str(), S_IFCHR | mode, device);
    case FileKind::block_device:
      return ::mknodat(folder(), name.c_str(), S_IFBLK | mode, device);
    case FileKind::hard_link:
      return link_to(target, name);
    case FileKind::directory:
    case FileKind::socket:
      break;
  }
  errno = EINVAL;
  return -1;
}

// The target is a path below the root, walked a component at a time without following anything.
int TreeWriter::link_to(std::string_view target, const std::string& name) {
  if (levels_.empty()) return errno = EINVAL, -1;
  Fd walked;
  int from = levels_.front().directory.get();
  for (size_t slash; (slash = target.find('/')) != std::string_view::npos; target.remove_prefix(slash + 1)) {
    std::string part(target.substr(0, slash));
    if (!is_name(part)) return errno = EINVAL, -1;
    walked = Fd(::openat(from, part.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!walked) return -1;
    from = walked.get();
  }
  std::string last(target);
  if (!is_name(last)) return errno = EINVAL, -1;
  return ::linkat(from, last.c_str(), folder(), name.c_str(), 0);
}

Result<> TreeWriter::data(ByteView bytes) {
  if (!file_) return failed("write", name_, EINVAL);
  if (auto written = pwrite_full(file_.get(), bytes, position_); !written)
    return failed("write", file_name_, written.error().errnum());
  position_ += bytes.size();
  ends_in_hole_ = ends_in_hole_ && bytes.empty();
  return {};
}

Result<> TreeWriter::hole(uint64_t size) {
  if (!file_ || size > kMaxFileSize - std::min(position_, kMaxFileSize)) return failed("write", file_name_, EFBIG);
  position_ += size;
  ends_in_hole_ = true;
  return {};
}

Result<> TreeWriter::end() {
  if (!file_) return failed("write", name_, EINVAL);
  if (ends_in_hole_ && ::ftruncate(file_.get(), static_cast<off_t>(position_)) < 0) return failed("write", file_name_);
  MSB_CHECK(complete(file_.get(), file_attributes_));
  file_.reset();
  return {};
}

Result<> TreeWriter::leave() {
  if (levels_.empty()) return failed("leave", name_, EINVAL);
  Level level = std::move(levels_.back());
  levels_.pop_back();
  file_name_ = level.name;
  return complete(level.directory.get(), level.attributes);
}

Result<> TreeWriter::complete(int fd, const Attributes& attributes) {
  // The owner first: a change of owner takes set-id bits away.
  if (attributes.mode && trust_ == Trust::own && ::geteuid() == 0 && ::fchown(fd, attributes.uid, attributes.gid) < 0)
    return failed("set the owner of", file_name_);
  if (attributes.mode && ::fchmod(fd, *attributes.mode) < 0) return failed("set the mode of", file_name_);
  // Not every file system keeps times; the content matters more.
  ::futimens(fd, attributes.times);
  return {};
}

Result<Fd> open_parent(const std::string& path, std::string& name) {
  size_t slash = path.rfind('/');
  name = path.substr(slash == std::string::npos ? 0 : slash + 1);
  if (!is_name(name))
    return fail(ErrorKind::invalid_config, cat("'", printable_path(path), "' does not end in the name of a file"));
  std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  Fd directory(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return fail_errno(cat("open the directory ", printable_path(parent)));
  return directory;
}

}  // namespace msb::tree
