// Decompressor: turns a layer's blob back into its tar stream, a piece at a time.
//
// gzip (any number of members, as pigz and dockerd write them), zstd (any number of frames, windows
// up to 128 MiB), or nothing. Memory is a fixed window. Belongs to one thread.
// Failures: ErrorKind::corrupt; unsupported for formats we know but do not read.
#pragma once

#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace msb::image {

enum class Compression {
  none,
  gzip,
  zstd,
  by_magic,  // docker-archive says nothing about its layers; never used for what a registry names
};

// The compression that a layer's media type states. ErrorKind::unsupported for other media types.
Result<Compression> compression_of(std::string_view media_type);

class Decompressor {
 public:
  struct Step {
    size_t consumed = 0;
    size_t produced = 0;
  };
  virtual ~Decompressor() = default;
  // Fills `out` from `in`. Call again with the rest until all is consumed and `out` was not filled.
  virtual Result<Step> step(ByteView in, MutableByteView out) = 0;
  // No more input: fails when the stream is cut off.
  virtual Result<> finish() = 0;

  // Not for by_magic.
  static std::unique_ptr<Decompressor> create(Compression compression);
};

inline constexpr size_t kMagicLength = 6;
// From the first kMagicLength bytes (fewer if there are no more).
Result<Compression> compression_by_magic(ByteView head);

}  // namespace msb::image
