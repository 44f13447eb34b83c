// PatchTree: the tree of an image, walked and changed as its guest would do it.
//
// The image is the root: absolute links and ".." never leave it, and nothing of the host is looked at. Borrows the
// tree. Errors have no path in them: the caller knows which patch it is.
#pragma once

#include <string_view>

#include "base/result.h"
#include "disk/erofs_tree.h"

namespace msb {

class PatchTree {
 public:
  // `now`, in Unix seconds, is the time of the directories that are made.
  PatchTree(disk::ErofsTree& tree, int64_t now) : tree_(tree), now_(now) {}

  enum class Last { as_it_is, followed };   // what a symbolic link at the end of a path stands for
  enum class Parents { must_exist, made };  // root:root 0755
  // Where a path ends. The inode is kNoInode when nothing is there; the directory too, when that is missing.
  struct Place {
    disk::InodeId directory = disk::kNoInode;
    std::string_view name = {};  // empty for the root, and for what a link's "/" or ".." led to
    disk::InodeId inode = disk::kNoInode;
  };
  Result<Place> find(std::string_view path, Last last, Parents parents);

  // Gives an inode that is no directory its name. Errors: path_already_exists, is_a_directory.
  Result<> put(std::string_view path, disk::InodeId inode, bool replace);
  // The directory at a path, made when nothing is there. Errors: not_a_directory.
  struct Made {
    disk::InodeId inode;
    bool fresh;
  };
  Result<Made> make_directory(std::string_view path);
  // Puts a directory at a path, or what is in it into the one that is there. Errors as of put(), and not_a_directory.
  Result<> put_directory(std::string_view path, disk::InodeId directory, bool replace);
  Result<> remove(std::string_view path);

 private:
  Result<disk::InodeId> new_directory(disk::InodeId parent, std::string_view name);
  Result<> merge(disk::InodeId from, disk::InodeId to);

  disk::ErofsTree& tree_;
  const int64_t now_;
};

}  // namespace msb
