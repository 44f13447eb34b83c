// Frames: how messages travel between host clients, the relay and the agent.
//
//   u32 BE  length of what follows (5 .. kMaxFrameSize)
//   u32 BE  id: the session a message belongs to; 0 is the relay's own
//   u8      flags
//   CBOR    {"v": version, "t": message type, "p": byte string holding the CBOR payload}
//
// docs/format/agent-protocol.md is the reference. The relay routes by id and does not
// need the body.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "wire/codec.h"

namespace msb::wire {

// Generations 1-7 are the original product's; 8 adds stream windows (core.exec.credit).
inline constexpr uint32_t kProtocolVersion = 8;
// Largest value of the length field: 4 MiB.
inline constexpr size_t kMaxFrameSize = size_t{4} << 20;
inline constexpr size_t kFrameHeaderSize = 9;

inline constexpr uint8_t kFlagTerminal = 1;      // last frame of its session
inline constexpr uint8_t kFlagSessionStart = 2;  // first frame of a session
inline constexpr uint8_t kFlagShutdown = 4;      // the sender asks the guest to power off

struct Frame {
  uint32_t id = 0;
  uint8_t flags = 0;
  ByteView body;  // the CBOR envelope, inside the reader's buffer
};

// The envelope, opened. Views point into the frame.
struct Envelope {
  uint32_t version = 0;
  std::string_view type;
  ByteView payload;
  static void fields(auto& self, auto&& field) {
    field("v", self.version);
    field("t", self.type);
    field("p", self.payload);
  }
};

Result<Envelope> open_envelope(ByteView body);

// A complete frame around an already encoded payload.
Bytes make_frame(uint32_t id, uint8_t flags, std::string_view type, ByteView payload);

// A complete frame; the type is the message's own.
template <Message T>
Bytes make_frame(uint32_t id, uint8_t flags, const T& message) {
  return make_frame(id, flags, T::kType, encode(message));
}

// Wraps an envelope that is already encoded (raw clients do that).
Bytes make_raw_frame(uint32_t id, uint8_t flags, ByteView body);

// Cuts a byte stream into frames. Feed what arrived, then take frames until there is none.
// A declared length outside the bounds is an error that ends the stream. Memory is bounded
// by one frame plus one read.
class FrameReader {
 public:
  // Room to read into directly: at least `want` bytes.
  MutableByteView prepare(size_t want = 64 * 1024);
  void commit(size_t count) { end_ += count; }
  void feed(ByteView bytes);

  // The next whole frame, nullopt when more bytes are needed. The frame's body stays valid
  // until the next call of prepare() or feed().
  Result<std::optional<Frame>> next();
  // The same, with the frame's bytes as they came (header included), for routing.
  Result<std::optional<ByteView>> next_raw();

 private:
  // Not a vector, which would fill its room with zeros: most of it is never read into, and stays without memory.
  std::unique_ptr<uint8_t[]> buffer_;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
};

// Header fields of a raw frame as returned by next_raw().
inline uint32_t frame_id(ByteView raw) {
  return load_be<uint32_t>(raw.data() + 4);
}
inline uint8_t frame_flags(ByteView raw) {
  return raw[8];
}
inline ByteView frame_body(ByteView raw) {
  return raw.subspan(kFrameHeaderSize);
}

}  // namespace msb::wire
