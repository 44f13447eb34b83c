#include "sandbox/patch_tree.h"

#include <algorithm>
#include <vector>

#include "disk/erofs_format.h"

namespace msb {
namespace {

using disk::InodeId;
using disk::kNoInode;

constexpr size_t kMaxLinksFollowed = 40;  // as the kernel does

// The components, the last one first: the order in which they are taken from the back.
void push_components(std::string_view path, std::vector<std::string_view>& todo) {
  const size_t before = todo.size();
  while (!path.empty()) {
    std::string_view part = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), part.size() + 1));
    if (!part.empty() && part != ".") todo.push_back(part);
  }
  std::reverse(todo.begin() + static_cast<ptrdiff_t>(before), todo.end());
}

tl::unexpected<Error> exists() {
  return fail(Error(ErrorKind::path_already_exists, "it exists in the image already")
                  .hint("let the patch replace it, or remove it with a patch before"));
}

}  // namespace

Result<PatchTree::Place> PatchTree::find(std::string_view path, Last last, Parents parents) {
  std::vector<std::string_view> todo;
  push_components(path, todo);
  InodeId at = disk::ErofsTree::kRoot;
  size_t links = 0;
  while (!todo.empty()) {
    const std::string_view part = todo.back();
    todo.pop_back();
    if (part == "..") {
      at = tree_.inode(at).directory->parent;
      continue;
    }
    const InodeId next = tree_.find(at, part);
    const bool is_link = next != kNoInode && tree_.inode(next).is_symlink();
    if (todo.empty() && (!is_link || last == Last::as_it_is)) return Place{at, part, next};
    if (is_link) {
      if (++links > kMaxLinksFollowed)
        return fail(ErrorKind::path_not_found, cat("'", part, "' is a symbolic link that leads nowhere"));
      const std::string_view target = tree_.inode(next).target;
      if (target.starts_with('/')) at = disk::ErofsTree::kRoot;
      push_components(target, todo);
    } else if (next != kNoInode && tree_.inode(next).is_directory()) {
      at = next;
    } else if (parents == Parents::must_exist) {
      return Place{};
    } else if (next != kNoInode) {
      return fail(ErrorKind::not_a_directory, cat("'", part, "' is not a directory"));
    } else {
      MSB_TRY(at, new_directory(at, part));
    }
  }
  return Place{tree_.inode(at).directory->parent, {}, at};
}

Result<InodeId> PatchTree::new_directory(InodeId parent, std::string_view name) {
  if (name.size() > disk::erofs::kNameMax)
    return fail(ErrorKind::invalid_config, "a symbolic link leads to a name longer than 255 bytes");
  InodeId id = tree_.create(S_IFDIR | 0755);
  tree_.inode(id).mtime = now_;
  tree_.set(parent, name, id);
  return id;
}

Result<> PatchTree::put(std::string_view path, InodeId inode, bool replace) {
  MSB_TRY(Place place, find(path, Last::as_it_is, Parents::made));
  if (place.inode != kNoInode) {
    if (!replace) return exists();
    if (tree_.inode(place.inode).is_directory())
      return fail(
          Error(ErrorKind::is_a_directory, "it is a directory in the image").hint("remove it with a patch before"));
  }
  tree_.set(place.directory, place.name, inode);
  return {};
}

Result<PatchTree::Made> PatchTree::make_directory(std::string_view path) {
  MSB_TRY(Place place, find(path, Last::followed, Parents::made));
  if (place.inode == kNoInode) {
    MSB_TRY(InodeId made, new_directory(place.directory, place.name));
    return Made{made, true};
  }
  if (tree_.inode(place.inode).is_directory()) return Made{place.inode, false};
  return fail(
      Error(ErrorKind::not_a_directory, "it is in the image, and no directory").hint("remove it with a patch before"));
}

Result<> PatchTree::put_directory(std::string_view path, InodeId directory, bool replace) {
  MSB_TRY(Place there, find(path, Last::as_it_is, Parents::must_exist));
  if (there.inode != kNoInode && !replace) return exists();
  MSB_TRY(Place place, find(path, Last::followed, Parents::made));
  if (place.inode == kNoInode) {
    if (place.name.size() > disk::erofs::kNameMax)
      return fail(ErrorKind::invalid_config, "a symbolic link leads to a name longer than 255 bytes");
    tree_.set(place.directory, place.name, directory);
    return {};
  }
  return merge(directory, place.inode);
}

// What is there keeps its owner and mode; a directory never becomes a file, nor a file a directory.
Result<> PatchTree::merge(InodeId from, InodeId to) {
  std::vector<std::pair<InodeId, InodeId>> pending{{from, to}};
  while (!pending.empty()) {
    auto [source, target] = pending.back();
    pending.pop_back();
    if (!tree_.inode(target).is_directory())
      return fail(Error(ErrorKind::not_a_directory, "a directory would take the place of what is none in the image")
                      .hint("remove that with a patch before"));
    for (const auto& [name, child] : tree_.inode(source).directory->entries) {
      const InodeId there = tree_.find(target, name);
      const bool both = there != kNoInode && tree_.inode(child).is_directory();
      if (both) {
        pending.emplace_back(child, there);
      } else if (there != kNoInode && tree_.inode(there).is_directory()) {
        return fail(Error(ErrorKind::is_a_directory, cat("'", name, "' is a directory in the image"))
                        .hint("remove it with a patch before"));
      } else {
        tree_.set(target, name, child);
      }
    }
  }
  return {};
}

Result<> PatchTree::remove(std::string_view path) {
  MSB_TRY(Place place, find(path, Last::as_it_is, Parents::must_exist));
  if (place.inode != kNoInode) tree_.erase(place.directory, place.name);
  return {};
}

}  // namespace msb
