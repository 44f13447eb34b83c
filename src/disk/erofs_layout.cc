#include "disk/erofs_layout.h"

#include <algorithm>
#include <bit>

#include "disk/erofs_xattr.h"

namespace msb::disk {
namespace {

using erofs::kBlockSize;
using erofs::round_up;

// The file types of directory entries (the kernel's FT_*).
uint8_t file_type(uint16_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return 1;
    case S_IFDIR:
      return 2;
    case S_IFCHR:
      return 3;
    case S_IFBLK:
      return 4;
    case S_IFIFO:
      return 5;
    case S_IFSOCK:
      return 6;
    case S_IFLNK:
      return 7;
  }
  return 0;
}

template <class T>
void append_struct(Bytes& out, const T& value) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
  out.insert(out.end(), bytes, bytes + sizeof(T));
}

bool has_chunk_indexes(const Inode& inode) {
  return inode.is_regular() && inode.size > 0 && (inode.sparse || inode.device != 0);
}

// A contiguous file in another device is one chunk as large as it needs to be.
uint8_t chunk_bits_for(uint64_t size) {
  uint64_t blocks = round_up(size, kBlockSize) / kBlockSize;
  return static_cast<uint8_t>(std::bit_width(blocks - 1));
}

uint64_t chunk_index_size(const Inode& inode) {
  if (!has_chunk_indexes(inode)) return 0;
  return sizeof(erofs::ChunkIndex) * (inode.sparse ? inode.sparse->blocks.size() : 1);
}

}  // namespace

Result<> ErofsLayout::plan(uint32_t meta_block) {
  placed_.resize(tree_.inode_count());
  MSB_CHECK(count_links());
  // Node id 0 would be inode number 0, which readdir callers take for "deleted".
  uint64_t position = sizeof(erofs::InodeExtended);
  for (InodeId id : order_) MSB_CHECK(place(id, position));
  // fsck.erofs (1.5) reads an attribute header behind every inode, whether there is one or not.
  inode_area_ = round_up(position + sizeof(erofs::XattrHeader), kBlockSize);

  uint64_t block = meta_block + inode_area_ / kBlockSize;
  for (InodeId id : with_blocks_) {
    placed_[id].block = static_cast<uint32_t>(block);
    block += round_up(content_size(id), kBlockSize) / kBlockSize;
    // An inline tail lies in the inode, not in a block.
    if (placed_[id].layout == erofs::Layout::tail_inline) --block;
  }
  if (block >= UINT32_MAX) return fail(ErrorKind::unsupported, "the file system is larger than 16 TiB");
  end_block_ = static_cast<uint32_t>(block);
  return {};
}

Result<> ErofsLayout::count_links() {
  order_.push_back(ErofsTree::kRoot);
  placed_[ErofsTree::kRoot].seen = true;
  placed_[ErofsTree::kRoot].links = 2;
  for (size_t at = 0; at < order_.size(); ++at) {
    const InodeId id = order_[at];
    const Inode& inode = tree_.inode(id);
    if (!inode.is_directory()) continue;
    for (const auto& [name, child] : inode.directory->entries) {
      Placed& placed = placed_[child];
      if (tree_.inode(child).is_directory()) {
        if (placed.seen) return fail(ErrorKind::internal, cat("EROFS: directory ", name, " has two parents"));
        placed.links = 2;
        ++placed_[id].links;
      } else {
        ++placed.links;
      }
      if (!placed.seen) order_.push_back(child);
      placed.seen = true;
    }
  }
  return {};
}

uint64_t ErofsLayout::content_size(InodeId id) const {
  const Inode& inode = tree_.inode(id);
  if (inode.is_directory()) return placed_[id].size;
  return inode.is_symlink() ? inode.target.size() : 0;
}

Result<> ErofsLayout::place(InodeId id, uint64_t& position) {
  const Inode& inode = tree_.inode(id);
  Placed& placed = placed_[id];
  if (inode.is_directory()) placed.size = directory_size(id);

  // Keeps the fixed part of an inode within one block.
  if (position % kBlockSize + sizeof(erofs::InodeExtended) > kBlockSize) position = round_up(position, kBlockSize);
  uint64_t head = sizeof(erofs::InodeExtended) + erofs_xattr_size(inode.xattrs.get());

  if (inode.is_directory() || inode.is_symlink()) {
    const uint64_t size = content_size(id), tail = size % kBlockSize;
    // The kernel wants an inline tail within one block, and a symlink's together with its inode.
    const bool small_enough = head + tail <= kBlockSize;
    if (tail > 0 && small_enough) {
      if (position % kBlockSize + head + tail > kBlockSize) position = round_up(position, kBlockSize);
      placed.layout = erofs::Layout::tail_inline;
      head += tail;
    }
    if (size - (placed.layout == erofs::Layout::tail_inline ? tail : 0) > 0) with_blocks_.push_back(id);
  } else if (has_chunk_indexes(inode)) {
    placed.layout = erofs::Layout::chunks;
    head = round_up(head, sizeof(erofs::ChunkIndex)) + chunk_index_size(inode);
    uses_chunks_ = true;
  }
  placed.position = position;
  position = round_up(position + head, erofs::kSlotSize);
  return {};
}

ErofsLayout::Entries ErofsLayout::sorted_entries(InodeId id) const {
  const Directory& directory = *tree_.inode(id).directory;
  Entries entries;
  entries.reserve(directory.entries.size() + 2);
  entries.insert(entries.end(), directory.entries.begin(), directory.entries.end());
  auto insert = [&](std::string_view name, InodeId target) {
    auto at = std::ranges::lower_bound(entries, name, {}, &Entries::value_type::first);
    entries.insert(at, {name, target});
  };
  insert(".", id);
  insert("..", id == ErofsTree::kRoot ? id : directory.parent);
  return entries;
}

uint64_t ErofsLayout::directory_size(InodeId id) const {
  uint64_t full = 0, used = 0;
  for (const auto& [name, child] : sorted_entries(id)) {
    uint64_t need = sizeof(erofs::Dirent) + name.size();
    if (used + need > kBlockSize) {
      full += kBlockSize;
      used = 0;
    }
    used += need;
  }
  return full + used;
}

void ErofsLayout::serialize_directory(InodeId id, Bytes& out) const {
  const Entries entries = sorted_entries(id);
  for (size_t first = 0; first < entries.size();) {
    size_t last = first;
    for (uint64_t used = 0; last < entries.size(); ++last) {
      used += sizeof(erofs::Dirent) + entries[last].first.size();
      if (used > kBlockSize) break;
    }
    const size_t start = out.size();
    uint64_t name_offset = (last - first) * sizeof(erofs::Dirent);
    for (size_t i = first; i < last; ++i) {
      erofs::Dirent dirent{};
      dirent.nid = nid(entries[i].second);
      dirent.name_offset = static_cast<uint16_t>(name_offset);
      dirent.file_type = file_type(tree_.inode(entries[i].second).mode);
      append_struct(out, dirent);
      name_offset += entries[i].first.size();
    }
    for (size_t i = first; i < last; ++i) out.insert(out.end(), entries[i].first.begin(), entries[i].first.end());
    if (last < entries.size()) out.resize(start + kBlockSize);
    first = last;
  }
}

void ErofsLayout::serialize_inode(InodeId id, Bytes& out) const {
  const Inode& inode = tree_.inode(id);
  const Placed& placed = placed_[id];
  const size_t start = out.size();
  const size_t xattr_size = erofs_xattr_size(inode.xattrs.get());

  erofs::InodeExtended disk{};
  disk.format = static_cast<uint16_t>(1 | static_cast<uint16_t>(placed.layout) << 1);
  disk.xattr_count = xattr_size == 0 ? 0 : static_cast<uint16_t>(1 + (xattr_size - sizeof(erofs::XattrHeader)) / 4);
  disk.mode = inode.mode;
  disk.ino = static_cast<uint32_t>(nid(id));
  disk.uid = inode.uid;
  disk.gid = inode.gid;
  disk.mtime = static_cast<uint64_t>(inode.mtime);
  disk.mtime_nsec = inode.mtime_nsec;
  disk.nlink = placed.links;
  if (inode.is_regular()) {
    disk.size = inode.size;
    disk.u = inode.block;
    if (placed.layout == erofs::Layout::chunks) {
      disk.u = (inode.sparse ? inode.sparse->chunk_bits : chunk_bits_for(inode.size)) | erofs::kChunkIndexes;
    }
  } else if (inode.is_directory() || inode.is_symlink()) {
    disk.size = content_size(id);
    disk.u = placed.block;
  } else {
    disk.u = inode.rdev;
  }
  append_struct(out, disk);
  erofs_append_xattrs(inode.xattrs.get(), out);

  if (placed.layout == erofs::Layout::chunks) {
    out.resize(start + round_up(out.size() - start, sizeof(erofs::ChunkIndex)));
    auto append_index = [&](uint32_t block) {
      append_struct(out, erofs::ChunkIndex{0, block == erofs::kHole ? uint16_t{0} : inode.device, block});
    };
    if (inode.sparse) {
      for (uint32_t block : inode.sparse->blocks) append_index(block);
    } else {
      append_index(inode.block);
    }
  } else if (placed.layout == erofs::Layout::tail_inline) {
    if (inode.is_symlink()) {
      out.insert(out.end(), inode.target.begin(), inode.target.end());
    } else {
      Bytes content;
      serialize_directory(id, content);
      out.insert(out.end(), content.end() - static_cast<ptrdiff_t>(content.size() % kBlockSize), content.end());
    }
  }
}

void ErofsLayout::serialize_blocks(InodeId id, Bytes& out) const {
  const Inode& inode = tree_.inode(id);
  const size_t start = out.size();
  if (inode.is_symlink()) {
    out.insert(out.end(), inode.target.begin(), inode.target.end());
  } else {
    serialize_directory(id, out);
  }
  if (placed_[id].layout == erofs::Layout::tail_inline) out.resize(out.size() - (out.size() - start) % kBlockSize);
  out.resize(start + round_up(out.size() - start, kBlockSize));
}

}  // namespace msb::disk
