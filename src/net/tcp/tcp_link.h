// TcpLink: what the terminator needs of the world: a way to the guest, and the time. The network stack has one; tests
// have one that keeps the segments and turns the clock by hand.
#pragma once

#include <array>

#include "base/deadline.h"
#include "net/packet/tcp.h"
#include "net/tcp/tcp_engine.h"

namespace msb::net {

// The two ends of a connection.
struct TcpEnds {
  Endpoint guest;
  Endpoint remote;
  bool operator==(const TcpEnds&) const = default;
};

class TcpLink {
 public:
  virtual ~TcpLink() = default;
  virtual Clock::time_point now() = 0;
  // TcpTerminator::expire() is to be called at that time, unless an earlier one is arranged already.
  virtual void wake_at(Clock::time_point when) = 0;

  // A segment to the guest, its payload in two pieces, cut to segments of `mss` where it is larger. False when the link
  // is full: TcpTerminator::settle() is to be called when it is not.
  virtual bool send(const TcpEnds& ends, const TcpHeader& header, const std::array<ByteView, 2>& payload,
                    uint16_t mss) = 0;
  // The same for what is said once: kept when the link is full, within limits.
  virtual void send_once(const TcpEnds& ends, const TcpHeader& header) = 0;
  // The answer of a router to the SYN with that sequence number.
  virtual void send_unreachable(const TcpEnds& ends, uint32_t sequence, Unreachable why) = 0;

  virtual bool has_guest(Family family) const = 0;
  virtual uint16_t mtu() const = 0;
  // Whether a segment may be larger than the MTU: the other side cuts it, or need not.
  virtual bool cuts_segments() const { return true; }
};

}  // namespace msb::net
