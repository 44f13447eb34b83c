// For fuzz targets: any bytes as an EROFS image. The superblock's magic and checksum are mended first, or nothing
// would get past them.
#pragma once

#include <sys/mman.h>

#include <algorithm>

#include "base/fd.h"
#include "disk/erofs_checksum.h"
#include "disk/erofs_format.h"
#include "disk/erofs_reader.h"

namespace msb::disk::testing {

inline Result<ErofsReader> open_any_image(ByteView bytes) {
  using erofs::kBlockSize;
  using erofs::kSuperOffset;
  Bytes image(bytes.begin(), bytes.end());
  image.resize(std::max<size_t>(kBlockSize, erofs::round_up(image.size(), kBlockSize)));
  store_le<uint32_t>(image.data() + kSuperOffset, erofs::kMagic);
  store_le<uint32_t>(image.data() + kSuperOffset + 4, 0);
  const uint32_t crc = erofs_crc32c(ByteView(image).subspan(kSuperOffset, kBlockSize - kSuperOffset));
  store_le<uint32_t>(image.data() + kSuperOffset + 4, crc);
  Fd file(::memfd_create("image", MFD_CLOEXEC));
  MSB_CHECK(pwrite_full(file.get(), image, 0));
  return ErofsReader::adopt(std::move(file), "fuzz");
}

}  // namespace msb::disk::testing
