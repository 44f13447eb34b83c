// LayerConverter: a layer's blob goes in as it downloads, an EROFS image comes out.
//
//   MSB_TRY(auto converter, LayerConverter::create(options));
//   while (downloading) MSB_CHECK(converter->feed(bytes));
//   MSB_TRY(LayerInfo info, converter->finish());     // digests verified, the file is complete
//   rename(options.output, cache/layers/<hex>.erofs)  // the caller's part
//
// feed() decompresses and hashes the blob on the caller's thread; a second thread hashes the tar
// stream, parses it and writes. At most 2 MiB are on the way between them, so feed() waits when the disk is
// slower than the network. Not thread-safe: one caller at a time. Destroying an unfinished converter
// stops the thread and removes the output.
//
// Failures, of feed() or finish(): ErrorKind::corrupt (damaged, cut off, wrong digest or diff id),
// image_pull_failed (forbidden or oversized content, see layer_limits.h), unsupported, io.
// After a failure only destruction makes sense.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "image/layer_compression.h"

namespace msb::image {

struct LayerConverterOptions {
  std::string output;  // a path that does not exist yet, on the cache's file system
  Compression compression = Compression::by_magic;
  std::string expected_digest;   // "sha256:<hex>" of the blob; empty: not known
  std::string expected_diff_id;  // "sha256:<hex>" of the tar; empty: not known
};

struct LayerInfo {
  std::string digest;                           // of the blob, "sha256:<hex>"
  std::string diff_id;                          // of the tar
  Compression compression = Compression::none;  // as found, never by_magic
  uint64_t compressed_size = 0;
  uint64_t uncompressed_size = 0;
  uint64_t erofs_size = 0;
  uint64_t entries = 0;
};

class LayerConverter {
 public:
  static Result<std::unique_ptr<LayerConverter>> create(LayerConverterOptions options);
  ~LayerConverter();
  LayerConverter(const LayerConverter&) = delete;
  LayerConverter& operator=(const LayerConverter&) = delete;

  Result<> feed(ByteView bytes);
  Result<LayerInfo> finish();

 private:
  struct Impl;
  explicit LayerConverter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace msb::image
