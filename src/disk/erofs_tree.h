// ErofsTree: the metadata of a file system in memory, without its data.
//
// What the EROFS writer takes and the reader gives. Inodes are numbered from 0
// (the root) and never removed; one that no directory names any more is simply
// not written. Names and symlink targets live in an arena of the tree.
// About 200 bytes an entry. Belongs to one thread.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace msb::disk {

using InodeId = uint32_t;
inline constexpr InodeId kNoInode = UINT32_MAX;

struct Xattr {
  std::string name;  // with its prefix: "user.mime", "security.capability"
  std::string value;
};

// A file with holes: chunk i (of block size << chunk_bits) starts at blocks[i], or is erofs::kHole.
struct SparseMap {
  uint8_t chunk_bits = 0;
  std::vector<uint32_t> blocks;
};

struct Directory {
  InodeId parent = 0;
  // In the order the kernel demands of directory entries (unsigned bytes, shorter first). Without "." and "..".
  std::map<std::string_view, InodeId> entries;
};

struct Inode {
  uint16_t mode = 0;    // with the file type
  uint16_t device = 0;  // where the data is: 0 in this image, n in the n-th device of its table
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t mtime_nsec = 0;
  int64_t mtime = 0;
  uint64_t size = 0;                     // of regular files
  uint32_t block = 0;                    // regular files without holes: first block
  uint32_t rdev = 0;                     // character and block devices, see erofs::encode_device
  std::string_view target;               // symlinks
  std::unique_ptr<Directory> directory;  // directories
  std::unique_ptr<std::vector<Xattr>> xattrs;
  std::unique_ptr<SparseMap> sparse;

  bool is_directory() const { return S_ISDIR(mode); }
  bool is_regular() const { return S_ISREG(mode); }
  bool is_symlink() const { return S_ISLNK(mode); }
  // The overlayfs mark for "nothing here": a character device 0:0.
  bool is_whiteout() const { return S_ISCHR(mode) && rdev == 0; }

  const std::string* find_xattr(std::string_view name) const;
  void set_xattr(std::string_view name, std::string_view value);
  void remove_xattr(std::string_view name);
};

class ErofsTree {
 public:
  static constexpr InodeId kRoot = 0;

  // A root directory 0755 owned by root, and nothing else.
  ErofsTree();
  ErofsTree(ErofsTree&&) = default;
  ErofsTree& operator=(ErofsTree&&) = default;

  // References stay valid for the life of the tree.
  Inode& inode(InodeId id) { return inodes_[id]; }
  const Inode& inode(InodeId id) const { return inodes_[id]; }
  size_t inode_count() const { return inodes_.size(); }

  // A new inode that nothing names yet; a directory gets an empty Directory.
  InodeId create(uint16_t mode);
  // Keeps a copy for as long as the tree lives.
  std::string_view intern(std::string_view text);

  // kNoInode when there is none.
  InodeId find(InodeId directory, std::string_view name) const;
  // The entry, whatever was there before; a directory's parent is set too.
  void set(InodeId directory, std::string_view name, InodeId id);
  void erase(InodeId directory, std::string_view name);

  // The inode at a path like "usr/bin/env" ("" is the root); symlinks are not followed.
  InodeId lookup(std::string_view path) const;

 private:
  std::deque<Inode> inodes_;
  std::vector<std::unique_ptr<char[]>> arena_;
  size_t arena_left_ = 0;
  char* arena_at_ = nullptr;
};

}  // namespace msb::disk
