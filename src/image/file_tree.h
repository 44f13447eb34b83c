// FileTree: builds the tree of one layer from its entries, in the order they come.
//
// It gives the entries their meaning: whiteouts become character devices 0:0, opaque marks become
// the attribute trusted.overlay.opaque, missing parents are created (0755, root, marked with
// kImplicitXattr so that a merge can keep the lower layer's metadata), later entries win, hard
// links name an earlier file. A symlink of the same layer among an entry's parents is followed, as the
// kernel would with the layer as its root: nothing leads out of the tree. A link of a lower layer is not known here:
// an entry below its name makes a directory, which replaces the link in the merge, as it does where layers are
// unpacked into directories of their own for overlayfs. A ".." in an entry's own path is an error that names the entry.
//
// Belongs to one thread. Failures: ErrorKind::image_pull_failed for a layer that asks for
// something forbidden or beyond layer_limits.h.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "disk/erofs_tree.h"
#include "image/layer_tar.h"

namespace msb::image {

// Directories that no entry of the layer described.
inline constexpr std::string_view kImplicitXattr = "trusted.msb.implicit";
inline constexpr std::string_view kOpaqueXattr = "trusted.overlay.opaque";

class FileTree {
 public:
  FileTree() { tree_.inode(disk::ErofsTree::kRoot).set_xattr(kImplicitXattr, "y"); }

  // Adds what the entry describes. Returns its inode: for a file, the caller sets block or sparse.
  // kNoInode when there is nothing more to do (whiteouts, hard links, ignored entries).
  Result<disk::InodeId> add(TarEntry& entry);

  // Counts memory that the caller adds to an inode (a chunk list) against kMaxLayerMetadata.
  Result<> charge(uint64_t bytes);

  uint64_t entries() const { return entries_; }
  disk::ErofsTree& tree() { return tree_; }

 private:
  // Where a path leads: the last directory there is, and the names below it that are not there yet.
  struct Place {
    disk::InodeId at = disk::ErofsTree::kRoot;
    std::vector<std::string_view> missing;
  };
  Result<Place> walk(std::span<const std::string_view> path, std::string_view entry) const;
  void place(disk::InodeId parent, std::string_view name, disk::InodeId id);
  Result<std::vector<std::string_view>> split(std::string_view path, std::string_view entry) const;
  Result<disk::InodeId> parent_of(const std::vector<std::string_view>& parts, std::string_view entry);
  Result<disk::InodeId> add_root(TarEntry& entry);
  Result<disk::InodeId> add_directory(TarEntry& entry, disk::InodeId parent, std::string_view name);
  Result<> add_whiteout(const TarEntry& entry, disk::InodeId parent, std::string_view name);
  Result<> add_hard_link(const TarEntry& entry, disk::InodeId parent, std::string_view name);
  Result<> set_metadata(disk::InodeId id, TarEntry& entry);
  Result<disk::InodeId> new_inode(uint16_t mode, std::string_view name, std::string_view entry);

  disk::ErofsTree tree_;
  uint64_t entries_ = 0;
  uint64_t metadata_ = 0;
  // The parent found last: archives list a directory's files together.
  std::string last_parent_path_;
  disk::InodeId last_parent_ = disk::kNoInode;
};

}  // namespace msb::image
