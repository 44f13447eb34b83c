// HostFiles: files of the host, copied into an EROFS image that is being written.
//
//   HostFiles files(tree, writer, HostFiles::Owner::root);
//   tree.set(directory, "app", *files.copy_directory("./app"));
//
// Modes, times, hard links, devices, holes and the extended attributes user.* and security.capability are kept.
// Symbolic links below the given path are copied, never followed. Directories on other file systems (/proc, mounts) are
// empty. Files that cannot be read are errors that name them.
#pragma once

#include <sys/stat.h>

#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/result.h"
#include "disk/erofs_tree.h"
#include "disk/erofs_writer.h"

namespace msb {

class HostFiles {
 public:
  enum class Owner {
    kept,  // but for what belongs to a caller who is not root: that belongs to root
    root,
  };
  // Borrows the tree and the writer.
  HostFiles(disk::ErofsTree& tree, disk::ErofsWriter& writer, Owner owner)
      : tree_(tree), writer_(writer), owner_(owner) {}

  // The contents and metadata of a directory of the host, into an empty one of the tree.
  Result<> copy_directory(const std::string& path, disk::InodeId into);
  // A regular file, as an inode that nothing names yet.
  Result<disk::InodeId> copy_file(const std::string& path);

 private:
  struct Pending {
    disk::InodeId id;
    std::string path;  // below the top, "" or "/a/b"
  };
  Result<> scan(const std::string& top, const Pending& directory);
  Result<> add(const std::string& top, int folder, const Pending& parent, const std::string& name);
  Result<> add_file(Fd file, const struct stat& status, disk::Inode& inode);
  Result<> add_sparse(int file, disk::Inode& inode);
  Result<> copy(int file, uint64_t offset, uint64_t count);
  void set_metadata(disk::Inode& inode, const struct stat& status) const;

  disk::ErofsTree& tree_;
  disk::ErofsWriter& writer_;
  const Owner owner_;
  dev_t device_ = 0;
  size_t entries_ = 0;
  std::vector<Pending> pending_;
  std::map<std::pair<dev_t, ino_t>, disk::InodeId> links_;
  Bytes buffer_ = Bytes(256 * 1024);
};

}  // namespace msb
