#include "image/layer_converter.h"

#include <unistd.h>

#include <optional>
#include <thread>

#include "base/fd.h"
#include "base/sha256.h"
#include "image/layer_limits.h"
#include "image/layer_queue.h"
#include "image/layer_sink.h"
#include "image/layer_tar.h"

namespace msb::image {
namespace {

constexpr size_t kBuffers = 8;
constexpr size_t kBufferSize = 256 * 1024;

}  // namespace

// The writer's thread touches sink, parser, tar_hash and worker_error only; they are read again after join().
struct LayerConverter::Impl {
  Impl(LayerConverterOptions given, Fd file)
      : options(std::move(given)), output(std::move(file)), sink(output.get()), parser(sink) {}
  ~Impl() {
    stop();
    if (!complete) ::unlink(options.output.c_str());
  }

  Result<> decompress(ByteView bytes);
  Result<> worker_failed();
  void work();
  void stop();

  LayerConverterOptions options;
  Fd output;
  LayerSink sink;
  TarParser parser;
  Sha256 tar_hash;
  std::optional<Error> worker_error;

  Sha256 blob_hash;
  Bytes head;  // by_magic: the first bytes, until there are enough to tell
  std::unique_ptr<Decompressor> decompressor;
  uint64_t compressed_size = 0;
  uint64_t uncompressed_size = 0;
  BufferQueue queue{kBuffers, kBufferSize};
  std::optional<BufferQueue::Filled> filling;
  bool complete = false;
  std::thread worker;
};

void LayerConverter::Impl::work() {
  while (auto filled = queue.take_filled()) {
    ByteView bytes = ByteView(filled->buffer).first(filled->used);
    tar_hash.update(bytes);
    if (auto parsed = parser.feed(bytes); !parsed) {
      worker_error = std::move(parsed).error();
      queue.abandon();
      return;
    }
    queue.put_empty(std::move(filled->buffer));
  }
}

void LayerConverter::Impl::stop() {
  if (!worker.joinable()) return;
  queue.close();
  worker.join();
}

Result<> LayerConverter::Impl::worker_failed() {
  stop();
  if (worker_error) return fail(*worker_error);
  return fail(ErrorKind::internal, "the layer's writer stopped without a reason");
}

Result<> LayerConverter::Impl::decompress(ByteView bytes) {
  for (bool more = true; more;) {
    if (!filling) {
      auto buffer = queue.take_empty();
      if (!buffer) return worker_failed();
      filling = BufferQueue::Filled{std::move(*buffer), 0};
    }
    MutableByteView room = MutableByteView(filling->buffer).subspan(filling->used);
    MSB_TRY(auto step, decompressor->step(bytes, room));
    bytes = bytes.subspan(step.consumed);
    filling->used += step.produced;
    uncompressed_size += step.produced;
    if (uncompressed_size > kMaxLayerUncompressed) {
      return fail(ErrorKind::image_pull_failed, "the layer is larger than 64 GiB when it is uncompressed");
    }
    // A buffer that is not full means that the input is used up.
    more = step.produced == room.size();
    if (more) {
      queue.put_filled(std::move(*filling));
      filling.reset();
    }
  }
  return {};
}

LayerConverter::LayerConverter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LayerConverter::~LayerConverter() = default;

Result<std::unique_ptr<LayerConverter>> LayerConverter::create(LayerConverterOptions options) {
  MSB_TRY(Fd output, open_file(options.output, O_WRONLY | O_CREAT | O_EXCL, 0644));
  auto impl = std::make_unique<Impl>(std::move(options), std::move(output));
  if (impl->options.compression != Compression::by_magic) {
    impl->decompressor = Decompressor::create(impl->options.compression);
  }
  impl->worker = std::thread([raw = impl.get()] { raw->work(); });
  return std::unique_ptr<LayerConverter>(new LayerConverter(std::move(impl)));
}

Result<> LayerConverter::feed(ByteView bytes) {
  Impl& impl = *impl_;
  impl.blob_hash.update(bytes);
  impl.compressed_size += bytes.size();
  if (impl.decompressor) return impl.decompress(bytes);
  impl.head.insert(impl.head.end(), bytes.begin(), bytes.end());
  if (impl.head.size() < kMagicLength) return {};
  MSB_TRY(impl.options.compression, compression_by_magic(impl.head));
  impl.decompressor = Decompressor::create(impl.options.compression);
  Bytes head = std::exchange(impl.head, {});
  return impl.decompress(head);
}

Result<LayerInfo> LayerConverter::finish() {
  Impl& impl = *impl_;
  if (!impl.decompressor) {
    MSB_TRY(impl.options.compression, compression_by_magic(impl.head));
    impl.decompressor = Decompressor::create(impl.options.compression);
    MSB_CHECK(impl.decompress(impl.head));
  }
  MSB_CHECK(impl.decompressor->finish());
  if (impl.filling && impl.filling->used > 0) impl.queue.put_filled(std::move(*impl.filling));
  impl.filling.reset();
  impl.stop();
  if (impl.worker_error) return fail(*impl.worker_error);
  MSB_CHECK(impl.parser.finish());

  LayerInfo info;
  info.digest = cat("sha256:", impl.blob_hash.finish_hex());
  info.diff_id = cat("sha256:", impl.tar_hash.finish_hex());
  info.compression = impl.options.compression;
  info.compressed_size = impl.compressed_size;
  info.uncompressed_size = impl.uncompressed_size;
  info.entries = impl.sink.entries();
  if (!impl.options.expected_digest.empty() && impl.options.expected_digest != info.digest) {
    return fail(ErrorKind::corrupt,
                cat("the layer's digest is ", info.digest, ", but it should be ", impl.options.expected_digest));
  }
  if (!impl.options.expected_diff_id.empty() && impl.options.expected_diff_id != info.diff_id) {
    return fail(ErrorKind::corrupt, cat("the layer's diff id is ", info.diff_id,
                                        ", but the image's configuration says ", impl.options.expected_diff_id));
  }
  MSB_TRY(auto summary, impl.sink.finish());
  info.erofs_size = summary.size;
  impl.complete = true;
  return info;
}

}  // namespace msb::image
