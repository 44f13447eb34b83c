// StreamFrame: a frame of stream data (core.exec.stdin, stdout, stderr) built around bytes
// that were read in place. Encoding a message copies its data three times, which inside an
// emulated guest is most of the cost of a stream; here nothing is copied.
//
//   StreamFrame frame;
//   auto count = read_some(fd, frame.room());
//   channel.send(frame.finish(id, 0, ExecStdout::kType, count));
#pragma once

#include "wire/messages.h"

namespace msb::wire {

class StreamFrame {
 public:
  StreamFrame() : buffer_(kHeadRoom + kMaxChunk) {}

  // Where the data goes: kMaxChunk bytes.
  MutableByteView room() { return MutableByteView(buffer_).subspan(kHeadRoom); }
  // The complete frame around the first `count` bytes of room(). Valid until the next use.
  ByteView finish(uint32_t id, uint8_t flags, std::string_view type, size_t count);

 private:
  // Header, envelope with the longest type name, and the payload's own head.
  static constexpr size_t kHeadRoom = 96;
  Bytes buffer_;
};

}  // namespace msb::wire
