// FrameLink: frames on a descriptor, a message each: what a frame is made of is not looked at. One system call a frame,
// in both directions, from and to where the bytes are.
//
// What the other end does not take now is the sender's to keep (try_send) or, of frames that nobody can make again,
// kept here up to a limit (send_or_keep). Order is kept: nothing overtakes a kept frame.
//
// The descriptor is a Unix socket of type SOCK_SEQPACKET or a tap device; non-blocking from here on.
#pragma once

#include <sys/uio.h>

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
  virtual void frame(ByteView message) = 0;  // gone after the call
  virtual void batch_ended() = 0;            // no more frames for now
  virtual void writable() = 0;               // there is room again, after a try_send() that failed
  virtual void link_ended(const Error& why) = 0;
};

class FrameLink {
 public:
  // virtio_net_hdr, Ethernet with a tag, the largest packet.
  static constexpr size_t kLargestFrame = 12 + 18 + 65535;

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
  bool take_frame();  // false: not admitted
  Attempt attempt(std::span<const iovec> pieces, size_t size);
  void send_kept();

  Fd fd_;
  FrameUser& user_;
  bool is_socket_ = false;
  bool reading_ = true;    // false: the frame in `buffer_` waits to be admitted
  bool full_ = false;      // the other end takes no more
  bool paused_ = false;    // admit_sending() said no
  bool admitted_ = false;  // it said yes, but the link was full: not asked again
  std::unique_ptr<uint8_t[]> buffer_;
  size_t frame_size_ = 0;
  std::deque<Bytes> kept_;
  size_t kept_bytes_ = 0;
  uint64_t sent_frames_ = 0;
  uint64_t sent_bytes_ = 0;
  uint64_t received_frames_ = 0;
  uint64_t received_bytes_ = 0;
  Reactor::Watch watch_;
};

}  // namespace msb::net
