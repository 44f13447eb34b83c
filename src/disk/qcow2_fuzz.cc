// A whole qcow2 file from a stranger: opening and reading all of it (its first and last MiB) must end in data or an
// Error.
#include <algorithm>

#include "disk/qcow2.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace msb;
  using namespace msb::disk;
  auto disk = Qcow2Disk::open(std::make_unique<MemoryDisk>(Bytes(data, data + size)));
  if (!disk) return 0;
  Bytes buffer(std::min<uint64_t>((*disk)->size(), uint64_t{1} << 20));
  (void)(*disk)->read(0, buffer);
  (void)(*disk)->read((*disk)->size() - buffer.size(), buffer);
  return 0;
}
