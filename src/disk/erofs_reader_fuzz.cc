// Any bytes as an EROFS image. The superblock's checksum is mended first, or nothing would get past it.
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "base/fd.h"
#include "disk/erofs_checksum.h"
#include "disk/erofs_format.h"
#include "disk/erofs_reader.h"

namespace {

using namespace msb;

void mend(Bytes& image) {
  using disk::erofs::kBlockSize;
  using disk::erofs::kSuperOffset;
  image.resize(std::max<size_t>(kBlockSize, disk::erofs::round_up(image.size(), kBlockSize)));
  store_le<uint32_t>(image.data() + kSuperOffset, disk::erofs::kMagic);
  store_le<uint32_t>(image.data() + kSuperOffset + 4, 0);
  const uint32_t crc = disk::erofs_crc32c(ByteView(image).subspan(kSuperOffset, kBlockSize - kSuperOffset));
  store_le<uint32_t>(image.data() + kSuperOffset + 4, crc);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes image(data, data + size);
  mend(image);
  Fd file(::memfd_create("image", MFD_CLOEXEC));
  if (!pwrite_full(file.get(), image, 0)) return 0;
  auto reader = disk::ErofsReader::adopt(std::move(file), "fuzz");
  if (!reader) return 0;
  auto tree = reader->load_tree();
  if (!tree) return 0;
  Bytes buffer(5000);
  for (disk::InodeId id = 0; id < tree->inode_count(); ++id) {
    const disk::Inode& inode = tree->inode(id);
    (void)reader->read(inode, 0, buffer);
    (void)reader->read(inode, inode.size / 2, buffer);
  }
  return 0;
}
