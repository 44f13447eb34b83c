#include "wire/stream_frame.h"

#include <algorithm>

namespace msb::wire {
namespace {

// How many bytes CBOR needs in front of a byte string of that length.
size_t cbor_head_size(size_t length) {
  return length < 24 ? 1 : length <= 0xff ? 2 : length <= 0xffff ? 3 : 5;
}

}  // namespace

ByteView StreamFrame::finish(uint32_t id, uint8_t flags, std::string_view type, size_t count) {
  // The head is what the encoder writes for empty data, with the two lengths put right.
  static constexpr std::string_view kKey = "data";
  size_t payload = 1 + 1 + kKey.size() + cbor_head_size(count) + count;
  CborWriter head;
  head.map(3);
  head.text("v");
  head.unsigned_integer(kProtocolVersion);
  head.text("t");
  head.text(type);
  head.text("p");
  head.bytes_head(payload);
  head.map(1);
  head.text(kKey);
  head.bytes_head(count);
  const Bytes& text = head.data();

  uint8_t* data = buffer_.data() + kHeadRoom;
  uint8_t* start = data - text.size() - kFrameHeaderSize;
  store_be(start, static_cast<uint32_t>(text.size() + count + kFrameHeaderSize - 4));
  store_be(start + 4, id);
  start[8] = flags;
  std::copy(text.begin(), text.end(), start + kFrameHeaderSize);
  return {start, data + count};
}

}  // namespace msb::wire
