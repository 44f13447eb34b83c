// AgentConnection: one client's end of a sandbox's relay socket. Frames in, frames out.
//
// The relay hands each connection a range of ids and the guest's core.ready frame, then
// routes by id. Nothing here blocks except where a Deadline is taken. SIGPIPE is never
// raised. Not thread-safe, but one thread may write while another reads.
#pragma once

#include <string>

#include "base/deadline.h"
#include "base/fd.h"
#include "wire/messages.h"

namespace msb {

// How long a relay may take to accept and greet a client.
inline constexpr std::chrono::seconds kConnectTimeout{10};

class AgentConnection {
 public:
  // `path` may be longer than sun_path: its directory is opened and named through /proc/self/fd.
  // ErrorKind::sandbox_not_running when nobody listens there.
  static Result<AgentConnection> connect(const std::string& path, const Deadline& deadline);
  // Takes a connected stream socket and reads the relay's greeting.
  static Result<AgentConnection> greet(Fd socket, const Deadline& deadline);

  int fd() const { return socket_.get(); }
  // Ids this client may use: first_id() .. end_id() - 1.
  uint32_t first_id() const { return first_id_; }
  uint32_t end_id() const { return end_id_; }
  const wire::Ready& ready() const { return ready_; }

  // Sends what the socket takes now; 0 when it takes nothing.
  Result<size_t> try_write(ByteView bytes);
  // Sends it all.
  Result<> write(ByteView bytes, const Deadline& deadline);

  enum class Fill { data, nothing, end };
  // Reads what has arrived, once.
  Result<Fill> fill();
  // The next frame of what fill() has read; its body lives until the next fill().
  Result<std::optional<wire::Frame>> next() { return frames_.next(); }
  // The next frame, waiting for it. ErrorKind::runtime when the relay goes away or the deadline passes.
  Result<wire::Frame> receive(const Deadline& deadline);

 private:
  explicit AgentConnection(Fd socket) : socket_(std::move(socket)) {}
  Fd socket_;
  wire::FrameReader frames_;
  uint32_t first_id_ = 0;
  uint32_t end_id_ = 0;
  wire::Ready ready_;
};

}  // namespace msb
