// GuestStack: the network as the guest sees it: a link with one neighbour, the gateway, that carries every packet to
// anywhere. Ethernet, ARP, NDP, IPv4 and IPv6 with fragments, ICMP, UDP and TCP end here; what they carry goes to the
// hooks, which know nothing of packets.
//
//   fd: a message per frame, each a virtio_net_hdr (12 bytes, virtio 1.2, 5.1.6) and an Ethernet frame of up to 64 KiB.
//       A Unix socket of type SOCK_SEQPACKET (virtio/net_device.h), or a tap device with IFF_VNET_HDR in tests.
//       With Frames::bare (QEMU's card) there is no header.
//
// Checksums and segmentation are the other side's: a frame with NEEDS_CSUM is taken as it is, large TCP segments go
// both ways whole. Not so with Frames::bare: there the MTU bounds a segment, and should be large. Frames whose source
// is not the guest's MAC and address are dropped and counted.
//
// One reactor thread. Nothing here asks a policy: hooks do, before anything leaves this process.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "base/fd.h"
#include "base/reactor.h"
#include "net/address.h"
#include "net/tcp/tcp_engine.h"

namespace msb::net {

// The addresses of one family: the two ends of the link.
struct LinkAddresses {
  Ip gateway;
  Ip guest;
  unsigned prefix = 30;
};

enum class Frames {
  with_header,
  bare,
};

struct LinkConfig {
  Mac gateway_mac;
  Mac guest_mac;
  std::optional<LinkAddresses> v4;
  std::optional<LinkAddresses> v6;
  uint16_t mtu = 1500;
  Frames frames = Frames::with_header;
};

struct UdpDatagram {
  Endpoint guest;   // from
  Endpoint remote;  // to
  ByteView payload;
};

// An ICMP echo request to something that is not the gateway (which answers for itself).
struct PingRequest {
  Ip remote;
  uint16_t id = 0;
  uint16_t sequence = 0;
  ByteView payload;
};

// Since the start. Bytes are those of Ethernet frames, without the virtio_net_hdr.
struct StackCounters {
  uint64_t received_frames = 0;  // from the guest
  uint64_t received_bytes = 0;
  uint64_t sent_frames = 0;  // to the guest
  uint64_t sent_bytes = 0;
  uint64_t dropped = 0;  // from the guest: malformed, spoofed, of unknown protocols, over a limit
};

class GuestStack {
 public:
  struct Hooks {
    std::function<void(TcpRequest)> tcp = [](TcpRequest) {};
    std::function<void(const UdpDatagram&)> udp = [](const UdpDatagram&) {};
    std::function<void(const PingRequest&)> ping = [](const PingRequest&) {};
    // Whether a frame of this many bytes may be read now (rate limits): false stops reading until resume_reading().
    std::function<bool(size_t bytes)> admit = [](size_t) { return true; };
    // The same for frames to the guest; false: the frame waits until resume_sending().
    std::function<bool(size_t bytes)> admit_sending = [](size_t) { return true; };
    std::function<void(const Error&)> link_ended = [](const Error&) {};  // the other end is gone; called once
  };

  // Takes the descriptor, which it makes non-blocking.
  static Result<std::unique_ptr<GuestStack>> create(Reactor& reactor, Fd link, const LinkConfig& config, Hooks hooks,
                                                    const TcpEngine::Limits& limits = {});
  virtual ~GuestStack() = default;

  virtual TcpEngine& tcp() = 0;
  // A datagram for the guest that seems to come from `from`. Dropped when the link is full, as UDP is. Larger than the
  // MTU: fragmented.
  virtual void send_udp(const Endpoint& from, const Endpoint& guest, ByteView payload) = 0;
  // The answer to a PingRequest.
  virtual void send_pong(const PingRequest& request) = 0;
  // Tells the guest that its datagram or echo request went nowhere; `of` as it was given to the hook.
  virtual void send_unreachable(const UdpDatagram& of, Unreachable why) = 0;
  virtual void send_unreachable(const PingRequest& of, Unreachable why) = 0;

  virtual void resume_reading() = 0;
  virtual void resume_sending() = 0;
  virtual StackCounters counters() const = 0;
};

}  // namespace msb::net
