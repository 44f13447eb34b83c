// The two directions of a NetDevice: NetReceiver moves frames from the cable into the guest's buffers, NetSender from
// the guest's buffers into the cable. Each call does a bounded turn of work; an Error means that the driver broke the
// rules.
#pragma once

#include <deque>
#include <optional>

#include "virtio/device.h"

namespace msb::virtio {

// virtio 1.2, 5.1.6: what stands before each frame. The cable carries it, too.
inline constexpr size_t kNetHeader = 12;
inline constexpr size_t kEthernetHeader = 14;
// A whole IPv4 or IPv6 packet of 65,535 bytes and 40 of IPv6 header, with Ethernet header and VLAN tag.
inline constexpr size_t kMaxFrame = 65535 + 40 + 18;

// Why a turn of work has ended.
enum class NetPause {
  idle,       // nothing to move: wait for the source
  blocked,    // no room: wait for the destination
  turn,       // enough for now: others first, then again at once
  unplugged,  // the cable's other end is gone (only of the receiver: what is sent then is lost)
};

class NetReceiver {
 public:
  NetReceiver(int cable, ActiveQueue active) : cable_(cable), active_(active) {}

  // After blocked, the queue's kick tells when to go on.
  Result<NetPause> move();
  Queue& queue() { return active_.queue; }
  uint64_t frames() const { return frames_; }

 private:
  Result<bool> gather_room();  // whether there is enough for any frame
  Result<bool> frame_fits() const;
  Result<> give(size_t bytes);

  int cable_;
  ActiveQueue active_;
  std::deque<Chain> empty_;  // buffers not yet filled
  uint64_t room_ = 0;        // in those
  uint64_t frames_ = 0;
};

class NetSender {
 public:
  NetSender(int cable, ActiveQueue active) : cable_(cable), active_(active) {}

  // After blocked, the cable tells when to go on.
  Result<NetPause> move();
  Queue& queue() { return active_.queue; }
  uint64_t frames() const { return frames_; }

 private:
  bool send(const Chain& chain);  // false: the cable is full

  int cable_;
  ActiveQueue active_;
  std::optional<Chain> unsent_;
  uint64_t frames_ = 0;
};

}  // namespace msb::virtio
