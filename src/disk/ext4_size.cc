#include "disk/ext4_size.h"

#include "base/ext4_super.h"

namespace msb::disk {

Result<> check_ext4_size(BlockDevice& disk) {
  if (!in_range(kExt4SuperOffset, kExt4SuperSize, disk.size())) return {};
  Bytes super(kExt4SuperSize);
  MSB_CHECK(disk.read(kExt4SuperOffset, super));
  auto size = read_ext4_size(super);
  if (!size || size->blocks <= disk.size() / size->block_size) return {};
  return fail(Error(ErrorKind::corrupt, cat("the disk has ", disk.size(), " bytes, but the ext4 file system on it ",
                                            size->blocks, " blocks of ", size->block_size))
                  .hint("the file was cut short: copy or make it again"));
}

}  // namespace msb::disk
