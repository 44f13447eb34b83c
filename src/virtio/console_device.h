// ConsoleDevice: one named port between guest and host, bridged to a stream socket (virtio 1.2, 5.3, MULTIPORT).
// Bytes and back-pressure are PortStream's (port_stream.h); the handshake is here.
//
// The handshake, with what each step costs (the guest's driver is Linux's; a kick is one exit):
//   kick       driver: DEVICE_READY. Answered by PORT_ADD, PORT_NAME and PORT_OPEN in one go
//   interrupt  the driver works these off one after the other, and says
//   kick       PORT_READY (nothing need follow any more)
//   kick       PORT_OPEN, when the agent opens the port
//   kick       the agent's first bytes
// So 4 kicks and 1 interrupt from "driver ready" to the agent's first byte. A strict device would send name and
// PORT_OPEN only after PORT_READY: one interrupt and one round through the guest's work queue more. Linux makes the
// port while it handles PORT_ADD, so what follows that in the queue finds it.
//
// The driver waits for each control message by spinning until its buffer comes back, so that is the first thing done.
//
// Device thread, but for read_config().
#pragma once

#include <string>

#include "base/fd.h"
#include "virtio/port_stream.h"
#include "virtio/served_queue.h"

namespace msb::virtio {

// What the device itself has to remember of its guest. Plain, to be saved and restored.
struct ConsoleState {
  bool guest_open = false;
  bool host_open = true;  // until the socket's other end closes; does not come back
  // What the guest is still to be told, in this order. Flags, so that it cannot make a list grow.
  bool pending_add = false;
  bool pending_name = false;
  bool pending_open = false;
};

class ConsoleDevice final : public Device {
 public:
  struct Settings {
    Settings(std::string port_name, Fd stream) : name(std::move(port_name)), socket(std::move(stream)) {}
    std::string name;  // the guest finds it in /sys/class/virtio-ports/*/name
    Fd socket;         // connected stream socket; made non-blocking here
    // 0 or 1. Number 0 needs four queues instead of six, which saves the guest 22 exits at boot; QEMU numbers from 1.
    uint16_t port = 1;
    std::function<void()> activity = {};    // bytes have moved, in either direction
    std::function<void(bool)> opened = {};  // the guest has opened or closed the port
  };

  // Errors: invalid_config (port number, length of the name), io.
  static Result<std::unique_ptr<ConsoleDevice>> create(Reactor& reactor, Settings settings);
  ~ConsoleDevice() override = default;

  // Whether the guest has the port open.
  bool guest_open() const { return state_.guest_open; }
  const ConsoleState& state() const { return state_; }

  DeviceType type() const override { return DeviceType::console; }
  uint64_t features() const override;
  std::span<const uint16_t> queue_sizes() const override;
  void read_config(uint32_t offset, MutableByteView out) const override;
  Result<> activate(Activation activation) override;
  void reset() override;

 private:
  struct Message;
  ConsoleDevice(Reactor& reactor, Settings settings) : reactor_(reactor), settings_(std::move(settings)) {}
  uint16_t receive_queue() const;
  Result<> start(Activation activation);
  Result<> control(Chain chain);
  Result<> handle(const Message& message);
  Result<> send_pending();
  Result<> send(const Message& message, Chain chain);
  void note_guest_open(bool open);
  void hangup();
  void broken(const Error& what);

  Reactor& reactor_;
  Settings settings_;
  ConsoleState state_;
  DeviceContext* context_ = nullptr;
  std::optional<ActiveQueue> control_in_;
  Reactor::Watch control_in_watch_;
  std::unique_ptr<ServedQueue> control_out_;
  std::unique_ptr<PortStream> stream_;
};

}  // namespace msb::virtio
