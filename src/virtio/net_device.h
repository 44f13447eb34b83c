// NetDevice: a network card (virtio 1.2, 5.1) whose cable is a descriptor: each message there is one virtio_net_hdr (12
// bytes) and one Ethernet frame. It looks into neither: at the cable's other end is net::GuestStack.
//
// The cable is a Unix socket of type SOCK_SEQPACKET, which keeps frames apart, loses none, and pushes back: while it is
// full, the guest's frames stay in its queue; while the guest has no room, frames for it stay in the socket. Nothing is
// buffered here, and no byte is copied but by the system call.
// How much it holds its maker says (SO_SNDBUF).
//
// A frame may have 64 KiB: segmentation and checksums are left to the other side in both directions. So a driver must
// know mergeable receive buffers and large segments (Linux does); one that does not is refused.
//
// Queues: 0 to the guest, 1 from it. Device thread, but for read_config().
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/fd.h"
#include "virtio/device.h"
#include "virtio/net_queues.h"

namespace msb::virtio {

class NetDevice final : public Device {
 public:
  struct Settings {
    std::array<uint8_t, 6> mac{};
    uint16_t mtu = 1500;
    Fd cable;                             // made non-blocking here
    std::function<void()> activity = {};  // a frame has moved, in either direction
  };

  // What the driver has to know, and what else is on offer.
  static uint64_t required_features();

  static Result<std::unique_ptr<NetDevice>> create(Reactor& reactor, Settings settings);
  ~NetDevice() override = default;

  DeviceType type() const override { return DeviceType::net; }
  uint64_t features() const override;
  std::span<const uint16_t> queue_sizes() const override;
  void read_config(uint32_t offset, MutableByteView out) const override;
  Result<> activate(Activation activation) override;
  void reset() override;

 private:
  NetDevice(Reactor& reactor, Settings settings) : reactor_(reactor), settings_(std::move(settings)) {}
  Result<> start(Activation activation);
  // Every event ends in one of these. A broken device is reset in there.
  void receive();
  void send();
  void finish(Result<NetPause> moved, Queue& queue, uint16_t index);
  Result<> tell(Queue& queue, uint16_t index);
  Result<> watch_cable();

  Reactor& reactor_;
  Settings settings_;
  DeviceContext* context_ = nullptr;
  std::unique_ptr<NetReceiver> receiver_;
  std::unique_ptr<NetSender> sender_;
  int send_kick_ = -1;
  bool receiving_ = false;  // the guest has room, as far as we know, and the cable may bring something
  bool blocked_ = false;    // the cable is full
  Reactor::Watch cable_watch_;
  Reactor::Watch receive_watch_;
  Reactor::Watch send_watch_;
};

}  // namespace msb::virtio
