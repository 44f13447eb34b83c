// A whole qcow2 file from a stranger: opening it, reading all of it (its first and last MiB), then writing, zeroing,
// discarding and flushing at places its last bytes name, must end in success or an Error.
#include <algorithm>

#include "disk/qcow2.h"

namespace {

using namespace msb;
using namespace msb::disk;

void read(Qcow2Disk& disk) {
  Bytes buffer(std::min<uint64_t>(disk.size(), uint64_t{1} << 20));
  (void)disk.read(0, buffer);
  (void)disk.read(disk.size() - buffer.size(), buffer);
}

// Each operation is 4 bytes: what, how much, and where in 1/65536 of the disk.
void work(Qcow2Disk& disk, ByteView operations) {
  const Bytes bytes(65536, 0xa5);
  ByteReader reader(operations);
  while (reader.remaining() >= 4) {
    uint8_t what = *reader.le<uint8_t>();
    uint64_t length = (uint64_t{*reader.le<uint8_t>()} + 1) * 256;
    uint64_t offset = (disk.size() >> 16) * *reader.le<uint16_t>();
    switch (what % 5) {
      case 0:
        (void)disk.flush();
        break;
      case 1:
        (void)disk.discard(offset, length * 16);
        break;
      case 2:
        (void)disk.write_zeroes(offset, length, what % 2 == 0 ? Unmap::yes : Unmap::no);
        break;
      default:
        (void)disk.write(offset, ByteView(bytes).first(static_cast<size_t>(length)));
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes image(data, data + size);
  if (auto disk = Qcow2Disk::open(std::make_unique<MemoryDisk>(image))) read(**disk);
  constexpr uint64_t kLimit = uint64_t{64} << 20;
  auto disk = Qcow2Disk::open(std::make_unique<MemoryDisk>(image, Access::read_write, kLimit), Access::read_write);
  if (!disk) return 0;
  work(**disk, ByteView(image).last(std::min<size_t>(image.size(), 64)));
  read(**disk);
  return 0;
}
