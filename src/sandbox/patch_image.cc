#include "sandbox/patch_image.h"

#include <unistd.h>

#include <ctime>
#include <map>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/units.h"
#include "disk/erofs_reader.h"
#include "disk/erofs_writer.h"
#include "sandbox/host_files.h"
#include "sandbox/patch_tree.h"
#include "sandbox/patches.h"

namespace msb {
namespace {

using disk::Inode;
using disk::InodeId;

constexpr uint32_t kFileMode = 0644;
// What is appended to is copied; more than this is a mistake.
constexpr uint64_t kMaxAppendedTo = kGiB;

class Patcher {
 public:
  // `files` has the host files of the devices, in their order.
  Patcher(disk::ErofsTree tree, std::vector<disk::ErofsDevice> devices, std::vector<std::string> files, int output)
      : tree_(std::move(tree)),
        writer_(output, std::move(devices)),
        paths_(tree_, now_),
        files_(std::move(files)),
        output_(output) {}

  Result<> apply(const Patch& patch) {
    switch (patch.kind) {
      case Patch::Kind::text:
      case Patch::Kind::file: {
        MSB_TRY(InodeId id, new_file(patch));
        return paths_.put(patch.path, id, patch.replace);
      }
      case Patch::Kind::mkdir: {
        MSB_TRY(auto made, paths_.make_directory(patch.path));
        if (patch.mode) set_mode(made.inode, *patch.mode);
        return {};
      }
      case Patch::Kind::append:
        return append(patch);
      case Patch::Kind::copy_file: {
        MSB_TRY(InodeId id, HostFiles(tree_, writer_, HostFiles::Owner::root).copy_file(patch.source));
        if (patch.mode) set_mode(id, *patch.mode);
        return paths_.put(patch.path, id, patch.replace);
      }
      case Patch::Kind::copy_dir: {
        InodeId directory = tree_.create(S_IFDIR | 0755);
        MSB_CHECK(HostFiles(tree_, writer_, HostFiles::Owner::root).copy_directory(patch.source, directory));
        return paths_.put_directory(patch.path, directory, patch.replace);
      }
      case Patch::Kind::symlink: {
        InodeId id = tree_.create(S_IFLNK | 0777);
        tree_.inode(id).mtime = now_;
        tree_.inode(id).target = tree_.intern(patch.content);
        return paths_.put(patch.path, id, patch.replace);
      }
      case Patch::Kind::remove:
        return paths_.remove(patch.path);
    }
    return fail(ErrorKind::internal, "an unknown kind of patch");
  }

  Result<> finish() {
    for (const auto& [id, more] : appended_) MSB_CHECK(write_appended(tree_.inode(id), more));
    return writer_.finish(tree_).map([](const auto&) {});
  }

 private:
  void set_mode(InodeId id, uint32_t mode) {
    Inode& inode = tree_.inode(id);
    inode.mode = static_cast<uint16_t>((inode.mode & S_IFMT) | mode);
  }

  Result<InodeId> new_file(const Patch& patch) {
    InodeId id = tree_.create(static_cast<uint16_t>(S_IFREG | patch.mode.value_or(kFileMode)));
    Inode& inode = tree_.inode(id);
    inode.mtime = now_;
    inode.size = patch.content.size();
    if (inode.size == 0) return id;
    MSB_TRY(inode.block, writer_.next_block());
    MSB_CHECK(writer_.append(as_bytes(patch.content)));
    MSB_CHECK(writer_.pad());
    return id;
  }

  // The content is put together at the end, so that any number of patches of one file copies it once.
  Result<> append(const Patch& patch) {
    MSB_TRY(auto place, paths_.find(patch.path, PatchTree::Last::followed, PatchTree::Parents::must_exist));
    if (place.inode == disk::kNoInode)
      return fail(
          Error(ErrorKind::path_not_found, "there is no such file in the image").hint("a text patch makes a new file"));
    const Inode& inode = tree_.inode(place.inode);
    if (inode.is_directory()) return fail(ErrorKind::is_a_directory, "it is a directory in the image");
    if (!inode.is_regular()) return fail(ErrorKind::invalid_config, "it is no regular file in the image");
    if (inode.size > kMaxAppendedTo)
      return fail(ErrorKind::invalid_config, cat("it has ", format_size(inode.size), ", and would be copied: at most ",
                                                 format_size(kMaxAppendedTo), " can be"));
    appended_[place.inode] += patch.content;
    return {};
  }

  // Owner, mode and attributes stay; all names of the file have the new content.
  Result<> write_appended(Inode& inode, const std::string& more) {
    if (more.empty()) return {};
    Fd layer;
    if (inode.device != 0) {
      MSB_TRY(layer, open_file(files_.at(inode.device - 1u)));
    } else {
      MSB_CHECK(writer_.flush());
    }
    MSB_TRY(uint32_t block, writer_.next_block());
    Bytes buffer(256 * kKiB);
    for (uint64_t offset = 0; offset < inode.size;) {
      MSB_TRY(size_t count, disk::erofs_read_data(layer ? layer.get() : output_, inode, offset, buffer));
      MSB_CHECK(writer_.append(ByteView(buffer).first(count)));
      offset += count;
    }
    MSB_CHECK(writer_.append(as_bytes(more)));
    MSB_CHECK(writer_.pad());
    inode.sparse.reset();
    inode.device = 0;
    inode.block = block;
    inode.size += more.size();
    inode.mtime = now_;
    inode.mtime_nsec = 0;
    return {};
  }

  const int64_t now_ = ::time(nullptr);
  disk::ErofsTree tree_;
  disk::ErofsWriter writer_;
  PatchTree paths_;
  const std::vector<std::string> files_;
  const int output_;
  std::map<InodeId, std::string> appended_;
};

// A tree whose files lie in the image itself, seen from another image before it: they lie in its first device.
void move_to_first_device(disk::ErofsTree& tree) {
  for (InodeId id = 0; id < tree.inode_count(); ++id)
    if (Inode& inode = tree.inode(id); inode.is_regular() && inode.size > 0) inode.device = 1;
}

}  // namespace

Result<> make_patch_image(const std::vector<Patch>& patches, const std::vector<std::string>& root,
                          const std::string& output) {
  MSB_TRY(auto reader, disk::ErofsReader::open(root.front()));
  MSB_TRY(disk::ErofsTree tree, reader.load_tree());
  std::vector<disk::ErofsDevice> devices = reader.devices();
  std::vector<std::string> files(root.begin() + 1, root.end());
  if (devices.empty()) {
    move_to_first_device(tree);
    devices = {{"root", reader.blocks()}};
    files = root;
  }
  MSB_TRY(Fd file, open_file(output, O_RDWR | O_CREAT | O_TRUNC, 0600));
  Cleanup remove([&] { ::unlink(output.c_str()); });
  Patcher patcher(std::move(tree), std::move(devices), std::move(files), file.get());
  for (const auto& patch : patches) MSB_CHECK_CTX(patcher.apply(patch), cat("patch ", describe(patch)));
  MSB_CHECK(patcher.finish());
  remove.dismiss();
  return {};
}

}  // namespace msb
