#include "sandbox/directory_image.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "base/cleanup.h"
#include "base/fd.h"
#include "disk/erofs_format.h"
#include "disk/erofs_writer.h"

namespace msb {
namespace {

constexpr size_t kMaxEntries = 4'000'000;
constexpr uint64_t kBlock = 4096;
// A sparse file is described by at most this many chunks.
constexpr uint64_t kMaxChunks = uint64_t{1} << 20;

class Scanner {
 public:
  Scanner(std::string directory, int output) : top_(std::move(directory)), writer_(output) {}

  Result<> run() {
    struct stat status;
    if (::stat(top_.c_str(), &status) < 0)
      return fail(Error::from_errno(errno, cat("open the root directory ", top_)).as(ErrorKind::path_not_found));
    if (!S_ISDIR(status.st_mode)) return fail(ErrorKind::invalid_config, cat(top_, " is not a directory"));
    device_ = status.st_dev;
    set_metadata(tree_.inode(disk::ErofsTree::kRoot), status);
    pending_.push_back({disk::ErofsTree::kRoot, ""});
    while (!pending_.empty()) {
      Pending next = std::move(pending_.back());
      pending_.pop_back();
      MSB_CHECK(scan(next));
    }
    return writer_.finish(tree_).map([](const auto&) {});
  }

 private:
  struct Pending {
    disk::InodeId id;
    std::string path;  // below top_, "" or "/a/b"
  };

  Result<> scan(const Pending& directory) {
    std::string path = top_ + directory.path;
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
    for (const auto& name : names) MSB_CHECK(add(::dirfd(stream), directory, name));
    return {};
  }

  Result<> add(int folder, const Pending& parent, const std::string& name) {
    std::string path = cat(parent.path, "/", name);
    struct stat status;
    if (::fstatat(folder, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0) return fail_errno(cat("read ", top_, path));
    if (++entries_ > kMaxEntries)
      return fail(ErrorKind::invalid_config, cat(top_, " has more than ", kMaxEntries, " files"));
    bool linked = !S_ISDIR(status.st_mode) && status.st_nlink > 1;
    std::pair<dev_t, ino_t> identity{status.st_dev, status.st_ino};
    if (auto known = links_.find(identity); linked && known != links_.end()) {
      tree_.set(parent.id, tree_.intern(name), known->second);
      return {};
    }
    disk::InodeId id = tree_.create(static_cast<uint16_t>(status.st_mode));
    disk::Inode& inode = tree_.inode(id);
    set_metadata(inode, status);
    copy_xattrs(top_ + path, inode);
    if (S_ISREG(status.st_mode)) MSB_CHECK_CTX(add_file(folder, name, status, inode), cat("read ", top_, path));
    if (S_ISLNK(status.st_mode)) MSB_CHECK_CTX(add_symlink(folder, name, inode), cat("read ", top_, path));
    if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode))
      inode.rdev = disk::erofs::encode_device(major(status.st_rdev), minor(status.st_rdev));
    if (S_ISDIR(status.st_mode) && status.st_dev == device_) pending_.push_back({id, std::move(path)});
    tree_.set(parent.id, tree_.intern(name), id);
    if (linked) links_[identity] = id;
    return {};
  }

  static void set_metadata(disk::Inode& inode, const struct stat& status) {
    uid_t self = ::geteuid();
    inode.mode = static_cast<uint16_t>(status.st_mode);
    inode.uid = self != 0 && status.st_uid == self ? 0 : status.st_uid;
    inode.gid = self != 0 && status.st_gid == ::getegid() ? 0 : status.st_gid;
    inode.mtime = status.st_mtim.tv_sec;
    inode.mtime_nsec = static_cast<uint32_t>(status.st_mtim.tv_nsec);
  }

  // File systems without attributes, and attributes that may not be read, are passed over.
  static void copy_xattrs(const std::string& path, disk::Inode& inode) {
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

  Result<> add_symlink(int folder, const std::string& name, disk::Inode& inode) {
    char target[4096];
    ssize_t length = ::readlinkat(folder, name.c_str(), target, sizeof(target));
    if (length < 0) return fail_errno("read a symbolic link");
    inode.target = tree_.intern(std::string_view(target, static_cast<size_t>(length)));
    return {};
  }

  Result<> add_file(int folder, const std::string& name, const struct stat& status, disk::Inode& inode) {
    inode.size = static_cast<uint64_t>(status.st_size);
    if (inode.size == 0) return {};
    MSB_TRY(Fd file, open_at(folder, name, O_RDONLY | O_NONBLOCK));
    bool sparse = static_cast<uint64_t>(status.st_blocks) * 512 + kBlock < inode.size;
    if (sparse) return add_sparse(file.get(), inode);
    MSB_TRY(inode.block, writer_.next_block());
    MSB_CHECK(copy(file.get(), 0, inode.size));
    return writer_.pad();
  }

  // Exactly `count` bytes: a file that shrinks meanwhile ends in zeros.
  Result<> copy(int file, uint64_t offset, uint64_t count) {
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

  Result<> add_sparse(int file, disk::Inode& inode) {
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

  std::string top_;
  disk::ErofsWriter writer_;
  disk::ErofsTree tree_;
  dev_t device_ = 0;
  size_t entries_ = 0;
  std::vector<Pending> pending_;
  std::map<std::pair<dev_t, ino_t>, disk::InodeId> links_;
  Bytes buffer_ = Bytes(256 * 1024);
};

}  // namespace

Result<> make_directory_image(const std::string& directory, const std::string& output) {
  MSB_TRY(Fd file, open_file(output, O_RDWR | O_CREAT | O_TRUNC, 0600));
  Cleanup remove([&] { ::unlink(output.c_str()); });
  MSB_CHECK_CTX(Scanner(directory, file.get()).run(), "copy the root directory");
  remove.dismiss();
  return {};
}

}  // namespace msb
