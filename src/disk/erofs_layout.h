// How an ErofsTree is laid out on disk: which node id each inode gets, and the bytes
// of inodes, extended attributes and directories. Used by ErofsWriter alone.
#pragma once

#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "disk/erofs_format.h"
#include "disk/erofs_tree.h"

namespace msb::disk {

class ErofsLayout {
 public:
  explicit ErofsLayout(const ErofsTree& tree) : tree_(tree) {}

  // Places every inode reachable from the root, breadth first (the children of a
  // directory lie together). Metadata starts at block `meta_block`.
  Result<> plan(uint32_t meta_block);

  const std::vector<InodeId>& order() const { return order_; }
  uint64_t nid(InodeId id) const { return placed_[id].position / erofs::kSlotSize; }
  uint64_t position(InodeId id) const { return placed_[id].position; }  // bytes behind the start of the metadata
  uint64_t inode_area_size() const { return inode_area_; }
  uint32_t end_block() const { return end_block_; }
  bool uses_chunks() const { return uses_chunks_; }
  // Directories and symlinks whose content has blocks of its own, in the order of those blocks.
  const std::vector<InodeId>& with_blocks() const { return with_blocks_; }

  // The inode with everything that follows it: attributes, chunk indexes, inline tail.
  void serialize_inode(InodeId id, Bytes& out) const;
  // The content in blocks of its own, padded to whole blocks.
  void serialize_blocks(InodeId id, Bytes& out) const;

 private:
  struct Placed {
    uint64_t position = 0;
    uint64_t size = 0;  // of directories
    uint32_t links = 0;
    uint32_t block = 0;
    erofs::Layout layout = erofs::Layout::plain;
    bool seen = false;
  };
  using Entries = std::vector<std::pair<std::string_view, InodeId>>;

  Result<> count_links();
  Result<> place(InodeId id, uint64_t& position);
  Entries sorted_entries(InodeId id) const;
  uint64_t directory_size(InodeId id) const;
  void serialize_directory(InodeId id, Bytes& out) const;
  uint64_t content_size(InodeId id) const;

  const ErofsTree& tree_;
  std::vector<Placed> placed_;
  std::vector<InodeId> order_;
  std::vector<InodeId> with_blocks_;
  uint64_t inode_area_ = 0;
  uint32_t end_block_ = 0;
  bool uses_chunks_ = false;
};

}  // namespace msb::disk
