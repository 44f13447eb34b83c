#include "image/layer_compression.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>

namespace msb::image {
namespace {

class Plain final : public Decompressor {
 public:
  Result<Step> step(ByteView in, MutableByteView out) override {
    const size_t count = std::min(in.size(), out.size());
    if (count > 0) std::memcpy(out.data(), in.data(), count);
    return Step{count, count};
  }
  Result<> finish() override { return {}; }
};

class Gzip final : public Decompressor {
 public:
  Gzip() {
    // 16: a gzip wrapper is required. Fails only without memory.
    if (inflateInit2(&stream_, 16 + MAX_WBITS) != Z_OK) std::abort();
  }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;
  ~Gzip() override { inflateEnd(&stream_); }

  Result<Step> step(ByteView in, MutableByteView out) override {
    Step step;
    while (step.consumed < in.size() || (state_ == State::inside && !drained_)) {
      if (state_ == State::between && !start_member(in[step.consumed])) {
        if (state_ != State::padding) return fail(ErrorKind::corrupt, "the layer has garbage behind its gzip data");
      }
      if (state_ == State::padding) {
        if (in[step.consumed] != 0) return fail(ErrorKind::corrupt, "the layer has garbage behind its gzip data");
        ++step.consumed;
        continue;
      }
      if (step.produced == out.size()) break;
      MutableByteView room = out.subspan(step.produced);
      ByteView rest = in.subspan(step.consumed);
      stream_.next_in = const_cast<Bytef*>(rest.data());
      stream_.avail_in = static_cast<uInt>(std::min<size_t>(rest.size(), UINT_MAX));
      stream_.next_out = room.data();
      stream_.avail_out = static_cast<uInt>(std::min<size_t>(room.size(), UINT_MAX));
      const uInt in_before = stream_.avail_in, out_before = stream_.avail_out;
      const int status = inflate(&stream_, Z_NO_FLUSH);
      step.consumed += in_before - stream_.avail_in;
      step.produced += out_before - stream_.avail_out;
      // A full buffer may leave output inside zlib that needs no further input.
      drained_ = stream_.avail_out > 0;
      if (status == Z_STREAM_END) {
        state_ = State::between;
      } else if (status != Z_OK && status != Z_BUF_ERROR) {
        return fail(ErrorKind::corrupt,
                    cat("the layer's gzip data is damaged: ", stream_.msg ? stream_.msg : "unknown reason"));
      } else if (drained_ && stream_.avail_in == 0) {
        break;
      }
    }
    return step;
  }

  Result<> finish() override {
    if (state_ == State::inside) return fail(ErrorKind::corrupt, "the layer's gzip data is cut off");
    return {};
  }

 private:
  enum class State { inside, between, padding };
  bool start_member(uint8_t first) {
    if (first == 0x1f) {
      inflateReset(&stream_);
      state_ = State::inside;
      drained_ = true;
      return true;
    }
    if (first == 0) state_ = State::padding;  // tapes fill up their last block
    return false;
  }

  z_stream stream_{};
  State state_ = State::inside;  // even an empty blob must have a member
  bool drained_ = true;
};

class Zstd final : public Decompressor {
 public:
  Zstd() : stream_(ZSTD_createDStream()) {
    if (!stream_) std::abort();
  }
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;
  ~Zstd() override { ZSTD_freeDStream(stream_); }

  Result<Step> step(ByteView in, MutableByteView out) override {
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    while (output.pos < output.size && (input.pos < input.size || !drained_)) {
      status_ = ZSTD_decompressStream(stream_, &output, &input);
      if (ZSTD_isError(status_)) {
        return fail(ErrorKind::corrupt, cat("the layer's zstd data is damaged: ", ZSTD_getErrorName(status_)));
      }
      drained_ = status_ == 0 || output.pos < output.size;
    }
    return Step{input.pos, output.pos};
  }
  Result<> finish() override {
    if (status_ != 0) return fail(ErrorKind::corrupt, "the layer's zstd data is cut off");
    return {};
  }

 private:
  ZSTD_DStream* stream_;
  size_t status_ = 1;  // 0: a frame is complete
  bool drained_ = true;
};

}  // namespace

Result<Compression> compression_of(std::string_view media_type) {
  if (media_type == "application/vnd.docker.image.rootfs.diff.tar.gzip" ||
      media_type == "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip") {
    return Compression::gzip;
  }
  for (std::string_view base :
       {"application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.docker.image.rootfs.diff.tar"}) {
    if (!media_type.starts_with(base)) continue;
    std::string_view suffix = media_type.substr(base.size());
    if (suffix.empty()) return Compression::none;
    if (suffix == "+gzip") return Compression::gzip;
    if (suffix == "+zstd" || suffix == ".zstd") return Compression::zstd;
  }
  return fail(ErrorKind::unsupported,
              cat("layers of media type \"", media_type.substr(0, 128), "\" are not supported"));
}

Result<Compression> compression_by_magic(ByteView head) {
  std::string_view text = as_text(head);
  if (text.starts_with("\x1f\x8b")) return Compression::gzip;
  if (text.starts_with("\x28\xb5\x2f\xfd")) return Compression::zstd;
  if (text.starts_with("BZh")) return fail(ErrorKind::unsupported, "bzip2 layers are not supported");
  if (text.starts_with(std::string_view("\xfd"
                                        "7zXZ\0",
                                        6))) {
    return fail(ErrorKind::unsupported, "xz layers are not supported");
  }
  return Compression::none;
}

std::unique_ptr<Decompressor> Decompressor::create(Compression compression) {
  switch (compression) {
    case Compression::gzip:
      return std::make_unique<Gzip>();
    case Compression::zstd:
      return std::make_unique<Zstd>();
    case Compression::none:
    case Compression::by_magic:
      break;
  }
  return std::make_unique<Plain>();
}

}  // namespace msb::image
