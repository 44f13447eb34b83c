// Reads a tar archive from a file or pipe into a TarSink: plain, gzip or zstd, told by its first bytes.
#pragma once

#include "base/result.h"
#include "image/layer_tar.h"

namespace msb::image {

// To the end of the input. Failures: corrupt, unsupported (another compression), io; whatever the sink fails with.
Result<> unpack_tar(int fd, TarSink& sink);

}  // namespace msb::image
