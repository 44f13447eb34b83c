#include "disk/qcow2_compression.h"

#include <zlib.h>
#include <zstd.h>

#include "base/cleanup.h"

namespace msb::disk {
namespace {

tl::unexpected<Error> corrupt() {
  return fail(ErrorKind::corrupt, "damaged qcow2 image: a compressed cluster cannot be unpacked");
}

Result<> unpack_zlib(ByteView packed, MutableByteView cluster) {
  z_stream stream{};
  // A raw deflate stream with a 4 KiB window, as the format says.
  if (::inflateInit2(&stream, -12) != Z_OK) return fail(ErrorKind::io, "start zlib: out of memory");
  Cleanup end([&] { ::inflateEnd(&stream); });
  stream.next_in = const_cast<uint8_t*>(packed.data());
  stream.avail_in = static_cast<unsigned>(packed.size());
  stream.next_out = cluster.data();
  stream.avail_out = static_cast<unsigned>(cluster.size());
  int result = ::inflate(&stream, Z_FINISH);
  // Writers may leave the stream without an end once the cluster is full.
  if ((result != Z_STREAM_END && result != Z_BUF_ERROR && result != Z_OK) || stream.avail_out != 0) return corrupt();
  return {};
}

Result<> unpack_zstd(ByteView packed, MutableByteView cluster) {
  ZSTD_DCtx* context = ::ZSTD_createDCtx();
  if (context == nullptr) return fail(ErrorKind::io, "start zstd: out of memory");
  Cleanup end([&] { ::ZSTD_freeDCtx(context); });
  // A window beyond the largest cluster is of no use to an honest writer.
  ::ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 23);
  ZSTD_inBuffer input{packed.data(), packed.size(), 0};
  ZSTD_outBuffer output{cluster.data(), cluster.size(), 0};
  while (output.pos < output.size) {
    size_t before = input.pos + output.pos;
    size_t result = ::ZSTD_decompressStream(context, &output, &input);
    if (::ZSTD_isError(result) || input.pos + output.pos == before) return corrupt();
  }
  return {};
}

}  // namespace

Result<> unpack_qcow2_cluster(Qcow2Compression method, ByteView packed, MutableByteView cluster) {
  return method == Qcow2Compression::zstd ? unpack_zstd(packed, cluster) : unpack_zlib(packed, cluster);
}

}  // namespace msb::disk
