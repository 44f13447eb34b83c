// Any bytes as an EROFS image.
#include "disk/testing/any_image.h"

using namespace msb;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto reader = disk::testing::open_any_image({data, size});
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
