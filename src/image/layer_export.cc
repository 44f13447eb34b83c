#include "image/layer_export.h"

#include <algorithm>
#include <unordered_map>

#include "disk/erofs_format.h"
#include "image/file_tree.h"

namespace msb::image {
namespace {

using disk::ErofsTree;
using disk::Inode;
using disk::InodeId;

class Export {
 public:
  Export(disk::ErofsReader& reader, const ErofsTree& tree, const TarOutput& output)
      : reader_(reader), tree_(tree), tar_(output) {}

  Result<> run() {
    MSB_CHECK(add_directory(ErofsTree::kRoot, "./", ""));
    // Depth first, a directory's entries in their order; `stack` has the directories above the current one.
    struct Level {
      std::map<std::string_view, InodeId>::const_iterator at, end;
      size_t path_size;
    };
    std::vector<Level> stack;
    std::string path;  // of the current directory, "" or with a slash at its end
    auto enter = [&](InodeId id, size_t path_size) {
      const auto& entries = tree_.inode(id).directory->entries;
      stack.push_back({entries.begin(), entries.end(), path_size});
    };
    enter(ErofsTree::kRoot, 0);
    while (!stack.empty()) {
      Level& level = stack.back();
      path.resize(level.path_size);
      if (level.at == level.end) {
        stack.pop_back();
        continue;
      }
      const auto [name, id] = *level.at++;
      if (!tree_.inode(id).is_directory()) {
        MSB_CHECK(add_other(id, path, name));
        continue;
      }
      path += cat(name, '/');
      MSB_CHECK(add_directory(id, path, path));
      enter(id, path.size());
    }
    return tar_.finish();
  }

 private:
  static void set_metadata(TarEntry& entry, const Inode& inode) {
    entry.mode = inode.mode & 07777;
    entry.uid = inode.uid;
    entry.gid = inode.gid;
    entry.mtime = inode.mtime;
    entry.mtime_nsec = inode.mtime_nsec;
    if (inode.xattrs) entry.xattrs = *inode.xattrs;
    std::erase_if(entry.xattrs,
                  [](const disk::Xattr& xattr) { return xattr.name == kOpaqueXattr || xattr.name == kImplicitXattr; });
  }

  Result<> add_directory(InodeId id, const std::string& path, const std::string& prefix) {
    const Inode& inode = tree_.inode(id);
    if (!inode.find_xattr(kImplicitXattr)) {
      TarEntry entry;
      entry.type = TarType::directory;
      entry.path = path;
      set_metadata(entry, inode);
      MSB_CHECK(tar_.entry(entry));
    }
    if (inode.find_xattr(kOpaqueXattr)) MSB_CHECK(add_mark(cat(prefix, ".wh..wh..opq")));
    return {};
  }

  Result<> add_mark(std::string path) {
    TarEntry entry;
    entry.path = std::move(path);
    return tar_.entry(entry);
  }

  Result<> add_other(InodeId id, const std::string& directory, std::string_view name) {
    const Inode& inode = tree_.inode(id);
    if (inode.is_whiteout()) return add_mark(cat(directory, ".wh.", name));
    TarEntry entry;
    entry.path = cat(directory, name);
    auto [first, fresh] = written_.try_emplace(id, entry.path);
    set_metadata(entry, inode);
    if (!fresh) {
      entry.type = TarType::hard_link;
      entry.link_target = first->second;
      entry.xattrs.clear();
      return tar_.entry(entry);
    }
    switch (inode.mode & S_IFMT) {
      case S_IFREG:
        return add_file(entry, inode);
      case S_IFLNK:
        entry.type = TarType::symlink;
        entry.link_target = inode.target;
        break;
      case S_IFCHR:
        entry.type = TarType::char_device;
        break;
      case S_IFBLK:
        entry.type = TarType::block_device;
        break;
      case S_IFIFO:
        entry.type = TarType::fifo;
        break;
      default:
        return {};  // sockets have no place in a tar
    }
    if (S_ISCHR(inode.mode) || S_ISBLK(inode.mode)) {
      entry.device_major = disk::erofs::device_major(inode.rdev);
      entry.device_minor = disk::erofs::device_minor(inode.rdev);
    }
    return tar_.entry(entry);
  }

  Result<> add_file(TarEntry& entry, const Inode& inode) {
    entry.size = inode.size;
    if (!inode.sparse) {
      entry.segments = {{0, inode.size}};
    } else {
      entry.sparse = true;
      const uint64_t chunk = uint64_t{disk::erofs::kBlockSize} << inode.sparse->chunk_bits;
      for (size_t i = 0; i < inode.sparse->blocks.size(); ++i) {
        if (inode.sparse->blocks[i] == disk::erofs::kHole) continue;
        const uint64_t offset = i * chunk, length = std::min(chunk, inode.size - offset);
        if (!entry.segments.empty() && entry.segments.back().offset + entry.segments.back().length == offset) {
          entry.segments.back().length += length;
        } else {
          entry.segments.push_back({offset, length});
        }
      }
    }
    MSB_CHECK(tar_.entry(entry));
    for (const TarSegment& segment : entry.segments) {
      for (uint64_t done = 0; done < segment.length;) {
        MutableByteView room =
            MutableByteView(buffer_).first(std::min<uint64_t>(buffer_.size(), segment.length - done));
        MSB_TRY(size_t count, reader_.read(inode, segment.offset + done, room));
        MSB_CHECK(tar_.data(room.first(count)));
        done += count;
      }
    }
    return tar_.end_data();
  }

  disk::ErofsReader& reader_;
  const ErofsTree& tree_;
  LayerTarWriter tar_;
  std::unordered_map<InodeId, std::string> written_;
  Bytes buffer_ = Bytes(128 * 1024);
};

}  // namespace

Result<> export_layer(const std::string& layer, const TarOutput& output) {
  MSB_TRY(auto reader, disk::ErofsReader::open(layer));
  return export_layer(reader, output);
}

Result<> export_layer(disk::ErofsReader& layer, const TarOutput& output) {
  MSB_TRY(const ErofsTree tree, layer.load_tree());
  return Export(layer, tree, output).run();
}

}  // namespace msb::image
