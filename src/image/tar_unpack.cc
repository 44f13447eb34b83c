#include "image/tar_unpack.h"

#include <algorithm>

#include "base/fd.h"
#include "image/layer_compression.h"

namespace msb::image {

Result<> unpack_tar(int fd, TarSink& sink) {
  Bytes in(size_t{256} << 10);
  Bytes out(size_t{256} << 10);
  MSB_TRY(size_t count, read_full(fd, in));
  if (count == 0) return fail(ErrorKind::corrupt, "the archive is empty");
  MSB_TRY(const auto compression, compression_by_magic(ByteView(in).first(std::min(count, kMagicLength))));
  const auto decompressor = Decompressor::create(compression);
  TarParser parser(sink);
  for (; count > 0;) {
    ByteView rest = ByteView(in).first(count);
    for (;;) {
      MSB_TRY(const auto step, decompressor->step(rest, out));
      MSB_CHECK(parser.feed(ByteView(out).first(step.produced)));
      rest = rest.subspan(step.consumed);
      if (rest.empty() && step.produced < out.size()) break;
    }
    MSB_TRY(count, read_full(fd, in));
  }
  MSB_CHECK(decompressor->finish());
  return parser.finish();
}

}  // namespace msb::image
