// Peer: the far end of a frame stream for tests, with blocking reads. Plays the agent or a client.
#pragma once

#include <optional>
#include <string>

#include "base/fd.h"
#include "wire/messages.h"

namespace msb::vmm::testing {

struct ReceivedFrame {
  uint32_t id = 0;
  uint8_t flags = 0;
  std::string type;
  Bytes payload;
  template <class T>
  T as() const {
    return *wire::decode<T>(payload);
  }
};

class Peer {
 public:
  Peer() = default;
  explicit Peer(Fd socket) : socket_(std::move(socket)) {}
  // Connects to a relay's socket and reads the id range.
  static Peer connect(const std::string& path);

  int fd() const { return socket_.get(); }
  void close() { socket_.reset(); }
  uint32_t first() const { return first_; }
  uint32_t end() const { return end_; }

  bool send_raw(ByteView bytes) { return write_full(socket_.get(), bytes).has_value(); }
  template <class T>
  bool send(uint32_t id, const T& message, uint8_t flags = 0) {
    return send_raw(wire::make_frame(id, flags, message));
  }
  // The next frame; nullopt at the end of the stream.
  std::optional<ReceivedFrame> receive();

 private:
  Fd socket_;
  wire::FrameReader reader_;
  uint32_t first_ = 0;
  uint32_t end_ = 0;
};

}  // namespace msb::vmm::testing
