#include "image/file_tree.h"

#include <algorithm>

#include "disk/erofs_format.h"
#include "disk/erofs_xattr.h"
#include "image/layer_limits.h"

namespace msb::image {
namespace {

using disk::ErofsTree;
using disk::Inode;
using disk::InodeId;
using disk::kNoInode;

constexpr size_t kMaxLinksFollowed = 40;  // as the kernel does
constexpr std::string_view kWhiteoutPrefix = ".wh.";
constexpr std::string_view kWhiteoutMeta = ".wh..wh.";
constexpr std::string_view kWhiteoutOpaque = ".wh..wh..opq";
// overlayfs in the guest would act on these; they must come from us alone.
constexpr std::string_view kOverlayXattrs = "trusted.overlay.";

tl::unexpected<Error> refuse(std::string_view entry, std::string_view what) {
  constexpr size_t kShown = 200;
  std::string name(entry.substr(0, kShown));
  for (char& c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  if (entry.size() > kShown) name += "...";
  return fail(Error(ErrorKind::image_pull_failed, cat("the layer's entry \"", name, "\" ", what))
                  .hint("the image is broken or malicious; nothing of it was kept"));
}

// Attributes of other systems ("com.apple.quarantine") mean nothing to Linux, which would refuse to set them.
bool foreign_xattr(std::string_view name) {
  for (std::string_view known : {"user.", "trusted.", "security.", "system.posix_acl_"}) {
    if (name.starts_with(known)) return false;
  }
  return true;
}

uint16_t file_type(TarType type) {
  switch (type) {
    case TarType::file:
      return S_IFREG;
    case TarType::symlink:
      return S_IFLNK;
    case TarType::char_device:
      return S_IFCHR;
    case TarType::block_device:
      return S_IFBLK;
    case TarType::directory:
      return S_IFDIR;
    case TarType::fifo:
      return S_IFIFO;
    case TarType::hard_link:
      break;
  }
  return 0;
}

}  // namespace

Result<> FileTree::charge(uint64_t bytes) {
  metadata_ += bytes;
  if (bytes <= kMaxLayerMetadata && metadata_ <= kMaxLayerMetadata) return {};
  return fail(ErrorKind::image_pull_failed,
              cat("the layer's names and attributes need more than ", kMaxLayerMetadata >> 20, " MiB"));
}

Result<std::vector<std::string_view>> FileTree::split(std::string_view path, std::string_view entry) const {
  if (path.size() > kMaxEntryPath) return refuse(entry, cat("has a path longer than ", kMaxEntryPath, " bytes"));
  if (path.find('\0') != path.npos) return refuse(entry, "has a NUL byte in its path");
  if (path.empty()) return refuse(entry, "has an empty path");
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    std::string_view part = path.substr(0, slash);
    path = slash == path.npos ? std::string_view{} : path.substr(slash + 1);
    if (part.empty() || part == ".") continue;
    if (part == "..") return refuse(entry, "has \"..\" in its path");
    if (part.size() > kMaxEntryName) return refuse(entry, cat("has a name longer than ", kMaxEntryName, " bytes"));
    parts.push_back(part);
  }
  if (parts.size() > kMaxPathDepth) return refuse(entry, "is nested too deeply");
  return parts;
}

Result<InodeId> FileTree::new_inode(uint16_t mode, std::string_view name, std::string_view entry) {
  // Directories made for deep paths count too: a million entries could ask for far more of them.
  if (tree_.inode_count() > kMaxLayerEntries) {
    return refuse(entry, cat("is one too many: a layer may have ", kMaxLayerEntries));
  }
  MSB_CHECK(charge(name.size()));
  return tree_.create(mode);
}

// As the kernel walks a path whose root is the layer's: links are followed, ".." and absolute targets stay inside.
Result<FileTree::Place> FileTree::walk(std::span<const std::string_view> path, std::string_view entry) const {
  Place place;
  std::vector<std::string_view> todo(path.rbegin(), path.rend());
  size_t links = 0, steps = 0;
  while (!todo.empty()) {
    const std::string_view part = todo.back();
    todo.pop_back();
    // A directory is never deeper than the walk to it was long, so links do not get around kMaxPathDepth.
    if (++steps > kMaxPathDepth) return refuse(entry, "is nested too deeply");
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (place.missing.empty()) {
        place.at = tree_.inode(place.at).directory->parent;
      } else {
        place.missing.pop_back();
      }
      continue;
    }
    const InodeId next = place.missing.empty() ? tree_.find(place.at, part) : kNoInode;
    if (next == kNoInode || tree_.inode(next).is_whiteout()) {
      if (part.size() > kMaxEntryName) return refuse(entry, "lies below a link to a name longer than 255 bytes");
      place.missing.push_back(part);
    } else if (tree_.inode(next).is_directory()) {
      place.at = next;
    } else if (!tree_.inode(next).is_symlink()) {
      return refuse(entry, cat("lies below \"", part, "\", which is not a directory"));
    } else {
      if (++links > kMaxLinksFollowed)
        return refuse(entry, cat("lies below \"", part, "\", a link that leads nowhere"));
      std::string_view target = tree_.inode(next).target;
      if (target.starts_with('/')) place.at = ErofsTree::kRoot;
      // In the order they are to be taken: the last is taken first.
      const size_t before = todo.size();
      while (!target.empty()) {
        const size_t slash = target.find('/');
        if (slash != 0) todo.push_back(target.substr(0, slash));
        target = slash == target.npos ? std::string_view{} : target.substr(slash + 1);
      }
      std::reverse(todo.begin() + static_cast<ptrdiff_t>(before), todo.end());
    }
  }
  return place;
}

Result<InodeId> FileTree::parent_of(const std::vector<std::string_view>& parts, std::string_view entry) {
  const size_t depth = parts.size() - 1;
  // The text between the first part and the last is as it was written, so it is a good key.
  std::string_view key;
  if (depth > 0) {
    key = {parts[0].data(), static_cast<size_t>(parts[depth - 1].data() + parts[depth - 1].size() - parts[0].data())};
    if (last_parent_ != kNoInode && key == last_parent_path_) return last_parent_;
  }
  MSB_TRY(const Place place, walk(std::span(parts).first(depth), entry));
  InodeId at = place.at;
  for (std::string_view part : place.missing) {
    const InodeId whiteout = tree_.find(at, part);
    MSB_TRY(const InodeId next, new_inode(S_IFDIR | 0755, part, entry));
    tree_.inode(next).set_xattr(kImplicitXattr, "y");
    if (whiteout != kNoInode) tree_.inode(next).set_xattr(kOpaqueXattr, "y");
    tree_.set(at, part, next);
    at = next;
  }
  if (depth > 0) {
    last_parent_path_ = key;
    last_parent_ = at;
  }
  return at;
}

// What was there is gone: a directory with all that was in it, a link with the way it led.
void FileTree::place(InodeId parent, std::string_view name, InodeId id) {
  const InodeId old = tree_.find(parent, name);
  if (old != kNoInode && (tree_.inode(old).is_directory() || tree_.inode(old).is_symlink())) last_parent_ = kNoInode;
  tree_.set(parent, name, id);
}

Result<InodeId> FileTree::add(TarEntry& entry) {
  if (++entries_ > kMaxLayerEntries) {
    return refuse(entry.path, cat("is one too many: a layer may have ", kMaxLayerEntries));
  }
  MSB_TRY(auto parts, split(entry.path, entry.path));
  if (parts.empty()) return add_root(entry);
  const std::string_view name = parts.back();
  if (name.starts_with(kWhiteoutMeta) && name != kWhiteoutOpaque) return kNoInode;  // AUFS's own bookkeeping
  MSB_TRY(const InodeId parent, parent_of(parts, entry.path));
  if (name.starts_with(kWhiteoutPrefix)) {
    MSB_CHECK(add_whiteout(entry, parent, name));
    return kNoInode;
  }
  if (entry.type == TarType::hard_link) {
    MSB_CHECK(add_hard_link(entry, parent, name));
    return kNoInode;
  }
  if (entry.type == TarType::directory) return add_directory(entry, parent, name);

  MSB_TRY(const InodeId id, new_inode(file_type(entry.type), name, entry.path));
  if (entry.type == TarType::symlink) {
    const std::string& target = entry.link_target;
    if (target.empty()) return refuse(entry.path, "is a symbolic link to nowhere");
    if (target.size() > disk::erofs::kSymlinkMax)
      return refuse(entry.path, "is a symbolic link longer than 4095 bytes");
    if (target.find('\0') != target.npos) return refuse(entry.path, "is a symbolic link with a NUL byte in it");
    MSB_CHECK(charge(target.size()));
    tree_.inode(id).target = tree_.intern(target);
  }
  Inode& inode = tree_.inode(id);
  if (entry.type == TarType::file) inode.size = entry.size;
  if (entry.type == TarType::char_device || entry.type == TarType::block_device) {
    inode.rdev = disk::erofs::encode_device(entry.device_major, entry.device_minor);
  }
  MSB_CHECK(set_metadata(id, entry));
  place(parent, name, id);
  return id;
}

Result<InodeId> FileTree::add_root(TarEntry& entry) {
  if (entry.type != TarType::directory) return refuse(entry.path, "is the root, but not a directory");
  MSB_CHECK(set_metadata(ErofsTree::kRoot, entry));
  return kNoInode;
}

Result<InodeId> FileTree::add_directory(TarEntry& entry, InodeId parent, std::string_view name) {
  InodeId id = tree_.find(parent, name);
  const bool whiteout = id != kNoInode && tree_.inode(id).is_whiteout();
  const bool keep = id != kNoInode && tree_.inode(id).is_directory();
  bool opaque = whiteout;
  if (keep) {
    opaque = tree_.inode(id).find_xattr(kOpaqueXattr) != nullptr;
  } else {
    MSB_TRY(id, new_inode(S_IFDIR, name, entry.path));
    place(parent, name, id);
  }
  MSB_CHECK(set_metadata(id, entry));
  if (opaque) tree_.inode(id).set_xattr(kOpaqueXattr, "y");
  return kNoInode;
}

// A whiteout hides what lower layers have; what this layer has of that name stays (OCI image-spec, layer.md).
Result<> FileTree::add_whiteout(const TarEntry& entry, InodeId parent, std::string_view name) {
  if (name == kWhiteoutOpaque) {
    tree_.inode(parent).set_xattr(kOpaqueXattr, "y");
    return {};
  }
  std::string_view hidden = name.substr(kWhiteoutPrefix.size());
  if (hidden.empty() || hidden == "." || hidden == "..") return refuse(entry.path, "is a whiteout of nothing");
  if (InodeId there = tree_.find(parent, hidden); there != kNoInode) {
    if (tree_.inode(there).is_directory()) tree_.inode(there).set_xattr(kOpaqueXattr, "y");
    return {};
  }
  MSB_TRY(const InodeId id, new_inode(S_IFCHR, hidden, entry.path));
  tree_.set(parent, hidden, id);
  return {};
}

Result<> FileTree::add_hard_link(const TarEntry& entry, InodeId parent, std::string_view name) {
  MSB_TRY(auto parts, split(entry.link_target, entry.path));
  if (parts.empty()) return refuse(entry.path, "is a hard link to the root");
  MSB_TRY(const Place at, walk(std::span(parts).first(parts.size() - 1), entry.path));
  const InodeId target = at.missing.empty() ? tree_.find(at.at, parts.back()) : kNoInode;
  if (target == kNoInode || tree_.inode(target).is_whiteout()) {
    return refuse(entry.path,
                  cat("is a hard link to \"", entry.link_target, "\", which is not among the entries before it"));
  }
  const Inode& inode = tree_.inode(target);
  if (inode.is_directory())
    return refuse(entry.path, cat("is a hard link to the directory \"", entry.link_target, '"'));
  MSB_CHECK(charge(name.size()));
  place(parent, name, target);
  return {};
}

Result<> FileTree::set_metadata(InodeId id, TarEntry& entry) {
  Inode& inode = tree_.inode(id);
  inode.mode = static_cast<uint16_t>((inode.mode & S_IFMT) | entry.mode);
  inode.uid = entry.uid;
  inode.gid = entry.gid;
  inode.mtime = entry.mtime;
  inode.mtime_nsec = entry.mtime_nsec;
  inode.xattrs.reset();
  std::erase_if(entry.xattrs, [](const disk::Xattr& xattr) {
    return xattr.name.starts_with(kOverlayXattrs) || xattr.name == kImplicitXattr || foreign_xattr(xattr.name);
  });
  if (entry.xattrs.empty()) return {};
  uint64_t total = 0;
  for (const disk::Xattr& xattr : entry.xattrs) {
    if (!disk::erofs_xattr_name_ok(xattr.name) || xattr.value.size() > UINT16_MAX) {
      return refuse(entry.path, cat("has a bad extended attribute \"", xattr.name.substr(0, 64), '"'));
    }
    total += xattr.name.size() + xattr.value.size() + sizeof(disk::Xattr);
  }
  MSB_CHECK(charge(total));
  inode.xattrs = std::make_unique<std::vector<disk::Xattr>>(std::move(entry.xattrs));
  return {};
}

}  // namespace msb::image
