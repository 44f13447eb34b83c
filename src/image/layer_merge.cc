#include "image/layer_merge.h"

#include <unistd.h>

#include <unordered_map>

#include "base/cleanup.h"
#include "base/fd.h"
#include "disk/erofs_reader.h"
#include "disk/erofs_writer.h"
#include "image/file_tree.h"

namespace msb::image {
namespace {

using disk::ErofsTree;
using disk::Inode;
using disk::InodeId;
using disk::kNoInode;

class Merge {
 public:
  Merge(ErofsTree& merged, const ErofsTree& upper, uint16_t device) : merged_(merged), upper_(upper), device_(device) {}

  void run() {
    enter(ErofsTree::kRoot, ErofsTree::kRoot);
    while (!pending_.empty()) {
      auto [from, to] = pending_.back();
      pending_.pop_back();
      for (const auto& [name, child] : upper_.inode(from).directory->entries) add(name, child, to);
    }
  }

 private:
  // Two directories of one path.
  void enter(InodeId from, InodeId to) {
    const Inode& source = upper_.inode(from);
    if (source.find_xattr(kOpaqueXattr)) merged_.inode(to).directory->entries.clear();
    if (!source.find_xattr(kImplicitXattr)) copy_metadata(source, merged_.inode(to));
    pending_.emplace_back(from, to);
  }

  void add(std::string_view name, InodeId child, InodeId to) {
    const Inode& source = upper_.inode(child);
    if (source.is_whiteout()) return merged_.erase(to, name);
    if (source.is_directory()) {
      InodeId there = merged_.find(to, name);
      if (there == kNoInode || !merged_.inode(there).is_directory()) {
        there = merged_.create(source.mode);
        copy_metadata(source, merged_.inode(there));
        merged_.set(to, name, there);
      }
      return enter(child, there);
    }
    auto [known, fresh] = copied_.try_emplace(child, kNoInode);
    if (fresh) known->second = copy(source);
    merged_.set(to, name, known->second);
  }

  InodeId copy(const Inode& source) {
    const InodeId id = merged_.create(source.mode);
    Inode& inode = merged_.inode(id);
    copy_metadata(source, inode);
    inode.rdev = source.rdev;
    inode.size = source.size;
    inode.block = source.block;
    inode.device = source.is_regular() ? device_ : 0;
    inode.target = merged_.intern(source.target);
    if (source.sparse) inode.sparse = std::make_unique<disk::SparseMap>(*source.sparse);
    return id;
  }

  static void copy_metadata(const Inode& source, Inode& inode) {
    inode.mode = source.mode;
    inode.uid = source.uid;
    inode.gid = source.gid;
    inode.mtime = source.mtime;
    inode.mtime_nsec = source.mtime_nsec;
    inode.xattrs.reset();
    if (!source.xattrs) return;
    inode.xattrs = std::make_unique<std::vector<disk::Xattr>>(*source.xattrs);
    inode.remove_xattr(kOpaqueXattr);
    inode.remove_xattr(kImplicitXattr);
  }

  ErofsTree& merged_;
  const ErofsTree& upper_;
  const uint16_t device_;
  std::unordered_map<InodeId, InodeId> copied_;  // hard links within the layer
  std::vector<std::pair<InodeId, InodeId>> pending_;
};

// Layer files are named after their diff id; others get a number. The kernel wants a tag, but does not read it.
std::string tag_of(const std::string& path, size_t number) {
  std::string name = path.substr(path.rfind('/') + 1);
  name = name.substr(0, name.find('.'));
  return name.empty() || name.size() > 64 ? cat("layer-", number) : name;
}

}  // namespace

void merge_layer(ErofsTree& merged, const ErofsTree& upper, uint16_t device) {
  Merge(merged, upper, device).run();
}

Result<> merge_layers(const std::vector<std::string>& layers, const std::string& output) {
  if (layers.size() > kMaxMergedLayers) {
    return fail(ErrorKind::unsupported, cat("an image may have ", kMaxMergedLayers, " layers, not ", layers.size()));
  }
  ErofsTree merged;
  std::vector<disk::ErofsDevice> devices;
  for (const std::string& path : layers) {
    MSB_TRY(auto reader, disk::ErofsReader::open(path));
    if (!reader.devices().empty()) return fail(ErrorKind::corrupt, cat(path, " is not a layer, but a merged tree"));
    MSB_TRY(ErofsTree tree, reader.load_tree());
    devices.push_back({tag_of(path, devices.size() + 1), reader.blocks()});
    merge_layer(merged, tree, static_cast<uint16_t>(devices.size()));
  }
  MSB_TRY(Fd file, open_file(output, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  Cleanup remove([&] { ::unlink(output.c_str()); });
  disk::ErofsWriter writer(file.get(), std::move(devices));
  MSB_CHECK(writer.finish(merged));
  remove.dismiss();
  return {};
}

}  // namespace msb::image
