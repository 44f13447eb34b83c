#include "wire/frame.h"

#include <algorithm>

namespace msb::wire {

Result<Envelope> open_envelope(ByteView body) {
  return decode<Envelope>(body);
}

Bytes make_raw_frame(uint32_t id, uint8_t flags, ByteView body) {
  Bytes frame(kFrameHeaderSize);
  store_be(frame.data(), static_cast<uint32_t>(body.size() + 5));
  store_be(frame.data() + 4, id);
  frame[8] = flags;
  frame.insert(frame.end(), body.begin(), body.end());
  return frame;
}

Bytes make_frame(uint32_t id, uint8_t flags, std::string_view type, ByteView payload) {
  return make_raw_frame(id, flags, encode(Envelope{kProtocolVersion, type, payload}));
}

MutableByteView FrameReader::prepare(size_t want) {
  if (begin_ == end_) begin_ = end_ = 0;
  if (buffer_.size() - end_ < want) {
    // Move the unread rest to the front before growing.
    std::copy(buffer_.begin() + static_cast<ptrdiff_t>(begin_), buffer_.begin() + static_cast<ptrdiff_t>(end_),
              buffer_.begin());
    end_ -= begin_;
    begin_ = 0;
    if (buffer_.size() - end_ < want) buffer_.resize(end_ + want);
  }
  return MutableByteView(buffer_).subspan(end_);
}

void FrameReader::feed(ByteView bytes) {
  auto room = prepare(bytes.size());
  std::copy(bytes.begin(), bytes.end(), room.begin());
  commit(bytes.size());
}

Result<std::optional<ByteView>> FrameReader::next_raw() {
  if (end_ - begin_ < 4) return std::optional<ByteView>();
  size_t length = load_be<uint32_t>(buffer_.data() + begin_);
  if (length < kFrameHeaderSize - 4 || length > kMaxFrameSize)
    return fail(ErrorKind::protocol, cat("a frame declares ", length, " bytes; allowed are 5 to ", kMaxFrameSize));
  if (end_ - begin_ < length + 4) return std::optional<ByteView>();
  ByteView raw = ByteView(buffer_).subspan(begin_, length + 4);
  begin_ += raw.size();
  return std::optional<ByteView>(raw);
}

Result<std::optional<Frame>> FrameReader::next() {
  MSB_TRY(auto raw, next_raw());
  if (!raw) return std::optional<Frame>();
  return std::optional<Frame>(Frame{frame_id(*raw), frame_flags(*raw), frame_body(*raw)});
}

}  // namespace msb::wire
