#include "disk/erofs_tree.h"

#include <algorithm>
#include <cstring>

namespace msb::disk {

const std::string* Inode::find_xattr(std::string_view name) const {
  if (!xattrs) return nullptr;
  for (const Xattr& xattr : *xattrs) {
    if (xattr.name == name) return &xattr.value;
  }
  return nullptr;
}

void Inode::set_xattr(std::string_view name, std::string_view value) {
  if (!xattrs) xattrs = std::make_unique<std::vector<Xattr>>();
  for (Xattr& xattr : *xattrs) {
    if (xattr.name == name) {
      xattr.value = value;
      return;
    }
  }
  xattrs->push_back({std::string(name), std::string(value)});
}

void Inode::remove_xattr(std::string_view name) {
  if (!xattrs) return;
  std::erase_if(*xattrs, [&](const Xattr& xattr) { return xattr.name == name; });
  if (xattrs->empty()) xattrs.reset();
}

ErofsTree::ErofsTree() {
  create(S_IFDIR | 0755);
}

InodeId ErofsTree::create(uint16_t mode) {
  Inode& inode = inodes_.emplace_back();
  inode.mode = mode;
  if (inode.is_directory()) inode.directory = std::make_unique<Directory>();
  return static_cast<InodeId>(inodes_.size() - 1);
}

std::string_view ErofsTree::intern(std::string_view text) {
  constexpr size_t kChunk = 64 * 1024;
  if (text.empty()) return {};
  if (text.size() > arena_left_) {
    arena_left_ = std::max(kChunk, text.size());
    arena_.push_back(std::make_unique_for_overwrite<char[]>(arena_left_));
    arena_at_ = arena_.back().get();
  }
  char* copy = arena_at_;
  std::memcpy(copy, text.data(), text.size());
  arena_at_ += text.size();
  arena_left_ -= text.size();
  return {copy, text.size()};
}

InodeId ErofsTree::find(InodeId directory, std::string_view name) const {
  const auto& entries = inodes_[directory].directory->entries;
  auto found = entries.find(name);
  return found == entries.end() ? kNoInode : found->second;
}

void ErofsTree::set(InodeId directory, std::string_view name, InodeId id) {
  auto& entries = inodes_[directory].directory->entries;
  auto found = entries.lower_bound(name);
  if (found != entries.end() && found->first == name) {
    found->second = id;
  } else {
    entries.emplace_hint(found, intern(name), id);
  }
  if (inodes_[id].directory) inodes_[id].directory->parent = directory;
}

void ErofsTree::erase(InodeId directory, std::string_view name) {
  auto& entries = inodes_[directory].directory->entries;
  if (auto found = entries.find(name); found != entries.end()) entries.erase(found);
}

InodeId ErofsTree::lookup(std::string_view path) const {
  InodeId at = kRoot;
  while (!path.empty()) {
    size_t slash = path.find('/');
    std::string_view name = path.substr(0, slash);
    path = slash == path.npos ? std::string_view{} : path.substr(slash + 1);
    if (name.empty()) continue;
    if (!inodes_[at].is_directory()) return kNoInode;
    at = find(at, name);
    if (at == kNoInode) return kNoInode;
  }
  return at;
}

}  // namespace msb::disk
