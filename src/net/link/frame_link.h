// FrameLink: frames on a descriptor, a message each: what a frame is made of is not looked at. They are read in batches
// (of a socket with one system call) and written one by one, from where the bytes are.
//
// What the other end does not take now is the sender's to keep (try_send) or, of frames that nobody can make again,
// kept here up to a limit (send_or_keep). Order is kept: nothing overtakes a kept frame.
//
// The descriptor is a Unix socket of type SOCK_SEQPACKET or a tap device; non-blocking from here on.
#pragma once

#include <sys/uio.h>

#include <array>
#include <deque>
#include <memory>
#include <span>

#include "base/fd.h"
#include "base/reactor.h"

namespace msb::net {

// What frames come from and go to. Calls come from the reactor; only link_ended() may destroy the link.
class FrameUser {
 public:
  virtual ~FrameUser() = default;
  // Whether a frame of that size may pass now. If not it waits for resume_reading() or resume_sending().
  virtual bool admit(size_t bytes) = 0;
  virtual bool admit_sending(size_t bytes) = 0;
  virtual void frame(ByteView message) = 0;  // stays until batch_ended() returns
  virtual void batch_ended() = 0;            // no more frames for now
  virtual void writable() = 0;               // there is room again, after a try_send() that failed
  virtual void link_ended(const Error& why) = 0;
};

class FrameLink {
 public:
  // virtio_net_hdr, Ethernet with a tag, the largest packet.
  static constexpr size_t kLargestFrame = 12 + 18 + 65535;
  // Frames read before others of the reactor have their turn. Memory is touched by the frames that really come.
  static constexpr size_t kBatch = 16;

  static Result<std::unique_ptr<FrameLink>> create(Reactor& reactor, Fd fd, FrameUser& user);

  // False when the link is full.
  bool try_send(std::span<const iovec> pieces);
  // Keeps a copy when the link is full; false when enough is kept already.
  bool send_or_keep(std::span<const iovec> pieces);

  void resume_reading();
  void resume_sending();

  uint64_t sent_frames() const { return sent_frames_; }
  uint64_t sent_bytes() const { return sent_bytes_; }
  uint64_t received_frames() const { return received_frames_; }
  uint64_t received_bytes() const { return received_bytes_; }

 private:
  enum class Attempt { sent, full };
  FrameLink(Fd fd, FrameUser& user);
  void on_events(uint32_t events);
  void watch_for_changes();
  bool read_batch();  // false: the link has ended
  ssize_t read_frames();
  void take_frames();
  Attempt attempt(std::span<const iovec> pieces, size_t size);
  void send_kept();

  Fd fd_;
  FrameUser& user_;
  bool is_socket_ = false;
  bool reading_ = true;    // false: the next of the batch waits to be admitted
  bool full_ = false;      // the other end takes no more
  bool paused_ = false;    // admit_sending() said no
  bool admitted_ = false;  // it said yes, but the link was full: not asked again
  // What was read and not looked at yet: frames `next_` to `count_`, each in a buffer of its own.
  std::unique_ptr<uint8_t[]> buffers_;
  std::array<size_t, kBatch> sizes_{};
  size_t next_ = 0;
  size_t count_ = 0;
  std::deque<Bytes> kept_;
  size_t kept_bytes_ = 0;
  uint64_t sent_frames_ = 0;
  uint64_t sent_bytes_ = 0;
  uint64_t received_frames_ = 0;
  uint64_t received_bytes_ = 0;
  Reactor::Watch watch_;
};

}  // namespace msb::net
