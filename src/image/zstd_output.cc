#include "image/zstd_output.h"

#include <zstd.h>

#include <algorithm>
#include <thread>

#include "base/cat.h"
#include "base/fd.h"

namespace msb::image {
namespace {

constexpr unsigned kMaxWorkers = 8;

}  // namespace

struct ZstdOutput::State {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  Bytes buffer = Bytes(ZSTD_CStreamOutSize());
  ~State() { ZSTD_freeCCtx(context); }
};

ZstdOutput::ZstdOutput(int fd, std::unique_ptr<State> state) : fd_(fd), state_(std::move(state)) {}
ZstdOutput::~ZstdOutput() = default;

Result<std::unique_ptr<ZstdOutput>> ZstdOutput::create(int fd) {
  auto state = std::make_unique<State>();
  if (!state->context) return fail(ErrorKind::io, "there is no memory for the compression");
  ZSTD_CCtx_setParameter(state->context, ZSTD_c_checksumFlag, 1);
  // A library built without threads refuses, and does it all here.
  const unsigned workers = std::clamp(std::thread::hardware_concurrency(), 1u, kMaxWorkers);
  ZSTD_CCtx_setParameter(state->context, ZSTD_c_nbWorkers, static_cast<int>(workers));
  return std::unique_ptr<ZstdOutput>(new ZstdOutput(fd, std::move(state)));
}

Result<> ZstdOutput::write(ByteView bytes) {
  return compress(bytes, false);
}

Result<> ZstdOutput::finish() {
  return compress({}, true);
}

Result<> ZstdOutput::compress(ByteView bytes, bool last) {
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  for (;;) {
    ZSTD_outBuffer out{state_->buffer.data(), state_->buffer.size(), 0};
    const size_t left = ZSTD_compressStream2(state_->context, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left)) return fail(ErrorKind::internal, cat("compress: ", ZSTD_getErrorName(left)));
    MSB_CHECK(write_full(fd_, ByteView(state_->buffer).first(out.pos)));
    if (last ? left == 0 : in.pos == in.size) return {};
  }
}

}  // namespace msb::image
