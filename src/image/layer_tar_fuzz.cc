// Any bytes as a layer: conversion ends with an error or an image, and that image can be read back.
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

#include "base/fd.h"
#include "disk/erofs_reader.h"
#include "image/layer_compression.h"
#include "image/layer_sink.h"
#include "image/layer_tar.h"
#include "image/testing/mend_tar.h"

namespace {

using namespace msb;

// The compressed formats of zlib and zstd are theirs to fuzz; here a wrapper is only passed through, in small steps.
void decompress(ByteView bytes) {
  auto compression = image::compression_by_magic(bytes);
  if (!compression) return;
  auto decompressor = image::Decompressor::create(*compression);
  Bytes out(61);
  for (size_t total = 0; total < 1 << 16;) {
    auto step = decompressor->step(bytes, out);
    if (!step) return;
    bytes = bytes.subspan(step->consumed);
    total += step->produced;
    if (step->produced < out.size()) break;
  }
  (void)decompressor->finish();
}

void convert(ByteView bytes) {
  Fd file(::memfd_create("layer", MFD_CLOEXEC));
  image::LayerSink sink(file.get());
  image::TarParser parser(sink);
  // The first byte chooses how the stream is cut, so that every state is entered in its middle too.
  const size_t piece = bytes.empty() ? 1 : size_t{bytes[0]} * 8 + 1;
  for (size_t at = 1; at < bytes.size(); at += piece) {
    if (!parser.feed(bytes.subspan(at, std::min(piece, bytes.size() - at)))) return;
  }
  if (!parser.finish()) return;
  auto summary = sink.finish();
  if (!summary) return;
  auto reader = disk::ErofsReader::adopt(std::move(file), "fuzz");
  if (!reader) std::abort();  // what we write, we must be able to read
  auto tree = reader->load_tree();
  if (!tree || tree->inode_count() < summary->inodes) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  decompress({data, size});
  convert(image::testing::mend_tar({data, size}, 1));
  return 0;
}
