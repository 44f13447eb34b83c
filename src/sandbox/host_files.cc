#include "sandbox/host_files.h"

#include <dirent.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>

#include "base/cleanup.h"
#include "disk/erofs_format.h"

namespace msb {
namespace {

constexpr size_t kMaxEntries = 4'000'000;
constexpr uint64_t kBlock = 4096;
// A sparse file is described by at most this many chunks.
constexpr uint64_t kMaxChunks = uint64_t{1} << 20;

// File systems without attributes, and attributes that may not be read, are passed over.
void copy_xattrs(const std::string& path, disk::Inode& inode) {
  char names[4096];
  ssize_t length = ::llistxattr(path.c_str(), names, sizeof(names));
  for (ssize_t at = 0; at < length;) {
    std::string_view name(names + at);
    at += static_cast<ssize_t>(name.size()) + 1;
    if (!name.starts_with("user.") && name != "security.capability") continue;
    char value[4096];
    ssize_t size = ::lgetxattr(path.c_str(), name.data(), value, sizeof(value));
    if (size >= 0) inode.set_xattr(name, std::string_view(value, static_cast<size_t>(size)));
  }
}

Result<std::string_view> read_link(int folder, const std::string& name, disk::ErofsTree& tree) {
  char target[4096];
  ssize_t length = ::readlinkat(folder, name.c_str(), target, sizeof(target));
  if (length < 0) return fail_errno("read a symbolic link");
  return tree.intern(std::string_view(target, static_cast<size_t>(length)));
}

}  // namespace

Result<> HostFiles::copy_directory(const std::string& path, disk::InodeId into) {
  struct stat status;
  if (::stat(path.c_str(), &status) < 0)
    return fail(Error::from_errno(errno, cat("open the directory ", path)).as(ErrorKind::path_not_found));
  if (!S_ISDIR(status.st_mode)) return fail(ErrorKind::invalid_config, cat(path, " is not a directory"));
  device_ = status.st_dev;
  set_metadata(tree_.inode(into), status);
  pending_.push_back({into, ""});
  while (!pending_.empty()) {
    Pending next = std::move(pending_.back());
    pending_.pop_back();
    MSB_CHECK(scan(path, next));
  }
  return {};
}

Result<disk::InodeId> HostFiles::copy_file(const std::string& path) {
  // A FIFO that has taken the file's place would block.
  MSB_TRY(Fd file, open_file(path, O_RDONLY | O_NONBLOCK));
  struct stat status;
  if (::fstat(file.get(), &status) < 0) return fail_errno(cat("read ", path));
  if (!S_ISREG(status.st_mode)) return fail(ErrorKind::invalid_config, cat(path, " is not a file"));
  disk::InodeId id = tree_.create(static_cast<uint16_t>(status.st_mode));
  set_metadata(tree_.inode(id), status);
  copy_xattrs(path, tree_.inode(id));
  MSB_CHECK_CTX(add_file(std::move(file), status, tree_.inode(id)), cat("read ", path));
  return id;
}

Result<> HostFiles::scan(const std::string& top, const Pending& directory) {
  std::string path = top + directory.path;
  DIR* stream = ::opendir(path.c_str());
  if (!stream) return fail_errno(cat("read the directory ", path));
  Cleanup close([&] { ::closedir(stream); });
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    dirent* entry = ::readdir(stream);
    if (!entry && errno != 0) return fail_errno(cat("read the directory ", path));
    if (!entry) break;
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  // The same directory gives the same image.
  std::sort(names.begin(), names.end());
  for (const auto& name : names) MSB_CHECK(add(top, ::dirfd(stream), directory, name));
  return {};
}

Result<> HostFiles::add(const std::string& top, int folder, const Pending& parent, const std::string& name) {
  std::string path = cat(parent.path, "/", name);
  struct stat status;
  if (::fstatat(folder, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0) return fail_errno(cat("read ", top, path));
  if (++entries_ > kMaxEntries)
    return fail(ErrorKind::invalid_config, cat(top, " has more than ", kMaxEntries, " files"));
  bool linked = !S_ISDIR(status.st_mode) && status.st_nlink > 1;
  std::pair<dev_t, ino_t> identity{status.st_dev, status.st_ino};
  if (auto known = links_.find(identity); linked && known != links_.end()) {
    tree_.set(parent.id, name, known->second);
    return {};
  }
  disk::InodeId id = tree_.create(static_cast<uint16_t>(status.st_mode));
  disk::Inode& inode = tree_.inode(id);
  set_metadata(inode, status);
  copy_xattrs(top + path, inode);
  if (S_ISREG(status.st_mode) && status.st_size > 0) {
    MSB_TRY(Fd file, open_at(folder, name, O_RDONLY | O_NONBLOCK));
    MSB_CHECK_CTX(add_file(std::move(file), status, inode), cat("read ", top, path));
  }
  if (S_ISLNK(status.st_mode)) {
    auto target = read_link(folder, name, tree_);
    if (!target) return fail(std::move(target).error().context(cat("read ", top, path)));
    inode.target = *target;
  }
  if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode))
    inode.rdev = disk::erofs::encode_device(major(status.st_rdev), minor(status.st_rdev));
  if (S_ISDIR(status.st_mode) && status.st_dev == device_) pending_.push_back({id, std::move(path)});
  tree_.set(parent.id, name, id);
  if (linked) links_[identity] = id;
  return {};
}

void HostFiles::set_metadata(disk::Inode& inode, const struct stat& status) const {
  uid_t self = ::geteuid();
  const bool all_root = owner_ == Owner::root;
  inode.mode = static_cast<uint16_t>(status.st_mode);
  inode.uid = all_root || (self != 0 && status.st_uid == self) ? 0 : status.st_uid;
  inode.gid = all_root || (self != 0 && status.st_gid == ::getegid()) ? 0 : status.st_gid;
  inode.mtime = status.st_mtim.tv_sec;
  inode.mtime_nsec = static_cast<uint32_t>(status.st_mtim.tv_nsec);
}

Result<> HostFiles::add_file(Fd file, const struct stat& status, disk::Inode& inode) {
  inode.size = static_cast<uint64_t>(status.st_size);
  if (inode.size == 0) return {};
  bool sparse = static_cast<uint64_t>(status.st_blocks) * 512 + kBlock < inode.size;
  if (sparse) return add_sparse(file.get(), inode);
  MSB_TRY(inode.block, writer_.next_block());
  MSB_CHECK(copy(file.get(), 0, inode.size));
  return writer_.pad();
}

// Exactly `count` bytes: a file that shrinks meanwhile ends in zeros.
Result<> HostFiles::copy(int file, uint64_t offset, uint64_t count) {
  while (count > 0) {
    size_t want = std::min<uint64_t>(count, buffer_.size());
    ssize_t got = ::pread(file, buffer_.data(), want, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("read");
    if (got == 0) return writer_.append_zeros(count);
    MSB_CHECK(writer_.append(ByteView(buffer_).first(static_cast<size_t>(got))));
    offset += static_cast<uint64_t>(got);
    count -= static_cast<uint64_t>(got);
  }
  return {};
}

Result<> HostFiles::add_sparse(int file, disk::Inode& inode) {
  auto map = std::make_unique<disk::SparseMap>();
  uint64_t chunk = kBlock;
  while ((inode.size + chunk - 1) / chunk > kMaxChunks) chunk *= 2, ++map->chunk_bits;
  map->blocks.assign((inode.size + chunk - 1) / chunk, disk::erofs::kHole);
  off_t at = ::lseek(file, 0, SEEK_DATA);
  while (at >= 0 && static_cast<uint64_t>(at) < inode.size) {
    uint64_t index = static_cast<uint64_t>(at) / chunk;
    uint64_t start = index * chunk;
    MSB_TRY(map->blocks[index], writer_.next_block());
    MSB_CHECK(copy(file, start, std::min(chunk, inode.size - start)));
    MSB_CHECK(writer_.pad());
    at = ::lseek(file, static_cast<off_t>(start + chunk), SEEK_DATA);
  }
  inode.sparse = std::move(map);
  return {};
}

}  // namespace msb
