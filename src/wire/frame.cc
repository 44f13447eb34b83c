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
  if (capacity_ - end_ < want) {
    // Move the unread rest to the front before growing.
    std::copy(buffer_.get() + begin_, buffer_.get() + end_, buffer_.get());
    end_ -= begin_;
    begin_ = 0;
  }
  if (capacity_ - end_ < want) {
    size_t capacity = std::max(end_ + want, 2 * capacity_);
    auto larger = std::make_unique_for_overwrite<uint8_t[]>(capacity);
    std::copy(buffer_.get(), buffer_.get() + end_, larger.get());
    buffer_ = std::move(larger);
    capacity_ = capacity;
  }
  return {buffer_.get() + end_, capacity_ - end_};
}

void FrameReader::feed(ByteView bytes) {
  auto room = prepare(bytes.size());
  std::copy(bytes.begin(), bytes.end(), room.begin());
  commit(bytes.size());
}

Result<std::optional<ByteView>> FrameReader::next_raw() {
  if (end_ - begin_ < 4) return std::optional<ByteView>();
  size_t length = load_be<uint32_t>(buffer_.get() + begin_);
  if (length < kFrameHeaderSize - 4 || length > kMaxFrameSize)
    return fail(ErrorKind::protocol, cat("a frame declares ", length, " bytes; allowed are 5 to ", kMaxFrameSize));
  if (end_ - begin_ < length + 4) return std::optional<ByteView>();
  ByteView raw(buffer_.get() + begin_, length + 4);
  begin_ += raw.size();
  return std::optional<ByteView>(raw);
}

Result<std::optional<Frame>> FrameReader::next() {
  MSB_TRY(auto raw, next_raw());
  if (!raw) return std::optional<Frame>();
  return std::optional<Frame>(Frame{frame_id(*raw), frame_flags(*raw), frame_body(*raw)});
}

}  // namespace msb::wire
