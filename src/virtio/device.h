// Device: one virtio device model, whatever the transport. MmioTransport (mmio_transport.h) shows it to the guest;
// knows nothing of KVM.
//
// State that a saved machine needs is kept in plain structs: what the driver has programmed in TransportState and
// QueueLayout, a queue's place in its rings in QueuePosition, and what a device remembers beyond that in a struct of
// its own (ConsoleState, BalloonState; block and entropy remember nothing). Reset drops what is in flight.
//
// Threads: there is one device thread with a Reactor, on which activate(), reset() and all queue work happen, for all
// devices. Configuration space is read and written on vCPU threads, so a device whose configuration changes guards it
// itself. Work that may block (disk I/O) goes to threads of the device's own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/reactor.h"
#include "virtio/queue.h"

namespace msb::virtio {

// Device types (virtio 1.2, 5).
enum class DeviceType : uint32_t { net = 1, block = 2, console = 3, entropy = 4, balloon = 5, fs = 26 };

// What a device may do to its guest, given to it at activation. Implemented by the transport; valid until reset()
// returns. Every call is safe from any thread.
class DeviceContext {
 public:
  virtual ~DeviceContext() = default;
  // A used-buffer interrupt. The caller has asked Queue::wants_interrupt().
  virtual void interrupt(uint16_t queue) = 0;
  // The configuration space changed: bumps the generation and interrupts.
  virtual void config_changed() = 0;
  // The driver broke the rules: sets DEVICE_NEEDS_RESET and interrupts. The device has stopped touching guest memory
  // and does nothing more until reset(). `what` is for the log, once per activation.
  virtual void broken(const Error& what) = 0;
};

// A queue the driver has enabled, with the descriptor (an eventfd, owned by the transport) that becomes readable when
// the driver kicks it.
struct ActiveQueue {
  Queue queue;
  int kick = -1;
};

struct Activation {
  const GuestMemory* memory = nullptr;
  uint64_t features = 0;                           // as negotiated
  std::vector<std::optional<ActiveQueue>> queues;  // by index; nullopt = the driver left it disabled
  DeviceContext* context = nullptr;
};

class Device {
 public:
  virtual ~Device() = default;
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  virtual DeviceType type() const = 0;
  // Features of this device type on offer; the transport adds those of queues and transport.
  virtual uint64_t features() const = 0;
  // The largest size of each queue; its length is the number of queues. Constant.
  virtual std::span<const uint16_t> queue_sizes() const = 0;

  // Any thread. Bytes beyond the configuration space read as 0; writes to them are ignored.
  virtual void read_config(uint32_t offset, MutableByteView out) const = 0;
  virtual void write_config(uint32_t offset, ByteView bytes) {
    (void)offset;
    (void)bytes;
  }

  // Device thread. The driver said DRIVER_OK. An error marks the device broken.
  virtual Result<> activate(Activation activation) = 0;
  // Device thread. When it returns, the device no longer touches guest memory (requests in flight are finished or
  // dropped) nor its context, and can be activated again. Also called before destruction. Idempotent.
  virtual void reset() = 0;
};

}  // namespace msb::virtio
