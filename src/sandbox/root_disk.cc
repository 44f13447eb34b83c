#include "sandbox/root_disk.h"

#include <climits>
#include <cstdlib>

#include "base/units.h"
#include "disk/erofs_format.h"
#include "disk/erofs_reader.h"
#include "disk/ext4_template.h"
#include "sandbox/mounts.h"

namespace msb {
namespace {

// What mke2fs sets aside: an inode for each of so many bytes, and room for the journal and the inodes themselves.
constexpr uint64_t kBytesPerInode = 16 * kKiB;
constexpr uint64_t kOverhead = 16 * kMiB;
constexpr uint64_t kOverheadShare = 16;

struct Contents {
  uint64_t files = 0;
  uint64_t bytes = 0;  // in whole blocks
};

Result<Contents> contents_of(const std::string& image) {
  MSB_TRY(auto reader, disk::ErofsReader::open(image));
  MSB_TRY(auto tree, reader.load_tree());
  Contents contents{tree.inode_count(), 0};
  for (disk::InodeId id = 0; id < tree.inode_count(); ++id) {
    const disk::Inode& inode = tree.inode(id);
    uint64_t size = inode.is_regular() ? inode.size : disk::erofs::kBlockSize;
    if (inode.sparse) {
      const uint64_t chunk = uint64_t{disk::erofs::kBlockSize} << inode.sparse->chunk_bits;
      size = 0;
      for (uint32_t block : inode.sparse->blocks) size += block == disk::erofs::kHole ? 0 : chunk;
    }
    contents.bytes += disk::erofs::round_up(size, disk::erofs::kBlockSize);
  }
  return contents;
}

disk::CloneBy how_to_clone(RootDisk::Clone clone) {
  switch (clone) {
    case RootDisk::Clone::automatic:
      return disk::CloneBy::any;
    case RootDisk::Clone::copy:
      return disk::CloneBy::copy;
    case RootDisk::Clone::reflink:
      return disk::CloneBy::reflink;
  }
  return disk::CloneBy::any;
}

}  // namespace

Result<> resolve_root_disk(RootDisk& disk) {
  if (disk.kind != RootDisk::Kind::disk) return {};
  char resolved[PATH_MAX];
  if (!::realpath(disk.source.c_str(), resolved))
    return fail(Error::from_errno(errno, cat("open the root disk ", disk.source)).as(ErrorKind::path_not_found));
  disk.source = resolved;
  MSB_CHECK_CTX(check_disk_image(disk.source, disk.format, disk::Access::read_write), "the root disk");
  return {};
}

Result<> check_flat_size(const std::string& tree, const RootDisk& disk, uint64_t free) {
  MSB_TRY(const Contents contents, contents_of(tree));
  const uint64_t needed = contents.bytes + contents.bytes / kOverheadShare + kOverhead;
  const uint64_t size = std::max(needed, contents.files * kBytesPerInode);
  if (size > uint64_t{disk.size_mib} * kMiB)
    return fail(Error(ErrorKind::invalid_config,
                      cat("the image has ", format_size(contents.bytes), " in ", contents.files,
                          " files, which do not fit a flat root disk of ", format_size(uint64_t{disk.size_mib} * kMiB)))
                    .hint(cat("make it larger: --root-disk flat:", (size + kMiB - 1) / kMiB, "M is the least")));
  if (needed <= free) return {};
  return fail(Error::from_errno(ENOSPC, cat("a flat root disk takes ", format_size(needed), ", and only ",
                                            format_size(free), " are free"))
                  .hint("free some space (`msb image prune`), or set MSB_HOME to another disk"));
}

Result<> make_root_disk(const RootDisk& disk, const state::Home& home, const std::string& output) {
  MSB_CHECK_CTX(disk::make_upper_disk(output, disk.size_mib, home.ext4_dir(), how_to_clone(disk.clone)),
                "make the root disk");
  return {};
}

}  // namespace msb
