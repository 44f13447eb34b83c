// MmioTransport: the register file of one virtio-mmio device, version 2 (virtio 1.2, 4.2.2), and the device status
// state machine (2.1, 3.1).
//
// read() and write() are called on vCPU threads with the offset inside the device's 4 KiB window; they are serialised
// by a lock of the transport's own. Registers are 32-bit and aligned: other accesses to them read 0 or are ignored;
// the configuration space (from 0x100) takes any width. DRIVER_OK and reset are carried out on the device thread and
// are complete when the write returns.
//
// State machine: features may be written only between DRIVER and FEATURES_OK; queue registers only between
// FEATURES_OK and DRIVER_OK; anything at the wrong time is ignored. FEATURES_OK stays clear when the driver took a
// feature that was not on offer or refused VERSION_1. A write that clears a status bit other than by reset is ignored,
// as is a status bit whose step before has not been taken. The registers of a queue cannot be changed while it is
// ready. A broken device shows DEVICE_NEEDS_RESET and recovers by reset.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "base/fd.h"
#include "base/mailbox.h"
#include "virtio/device.h"

namespace msb::virtio {

inline constexpr uint64_t kMmioWindow = 0x1000;
inline constexpr uint32_t kQueueNotify = 0x50;  // the register that ioeventfds are bound to, with the queue's index

// Bits of the device status (2.1).
namespace status {
inline constexpr uint32_t kAcknowledge = 1;
inline constexpr uint32_t kDriver = 2;
inline constexpr uint32_t kDriverOk = 4;
inline constexpr uint32_t kFeaturesOk = 8;
inline constexpr uint32_t kNeedsReset = 64;
inline constexpr uint32_t kFailed = 128;
}  // namespace status

// The registers as the guest left them. Plain, to be saved and restored.
struct TransportState {
  uint32_t status = 0;
  uint32_t device_features_select = 0;
  uint32_t driver_features_select = 0;
  uint64_t driver_features = 0;
  bool took_unknown_features = false;  // above bit 63, where nothing is on offer
  uint32_t queue_select = 0;
  std::vector<QueueLayout> queues;
};

class MmioTransport final : private DeviceContext {
 public:
  struct Wiring {
    const GuestMemory* memory = nullptr;
    Mailbox* device_thread = nullptr;
    std::function<void()> interrupt = {};            // one edge of the device's line; any thread, one at a time
    std::function<void(std::string_view)> log = {};  // any thread; one line when the device breaks
  };

  // The device must outlive the transport, as must everything in `wiring`.
  static Result<std::unique_ptr<MmioTransport>> create(Device& device, Wiring wiring);
  ~MmioTransport() override;  // on the device thread, when no vCPU runs any more; resets the device

  void read(uint64_t offset, MutableByteView out);
  void write(uint64_t offset, ByteView bytes);

  // The eventfd of a queue: what a write of its index to kQueueNotify signals, here or by ioeventfd.
  int kick_fd(uint16_t queue) const { return kicks_.at(queue).get(); }
  uint16_t queue_count() const { return static_cast<uint16_t>(kicks_.size()); }
  TransportState state() const;  // not on the device thread while vCPUs run: see below

 private:
  MmioTransport(Device& device, Wiring wiring, std::vector<Fd> kicks);
  void interrupt(uint16_t queue) override;
  void config_changed() override;
  void broken(const Error& what) override;

  uint32_t read_register(uint32_t offset);
  void write_register(uint32_t offset, uint32_t value);
  void write_features(uint32_t value);
  void write_queue(uint32_t offset, uint32_t value);
  void write_status(uint32_t value);
  bool has(uint32_t status_bit) const { return (state_.status & status_bit) != 0; }
  uint64_t offered() const;
  QueueLayout* selected_queue();  // nullptr: there is none of that number
  void activate();
  void reset();
  void raise(uint32_t cause);

  Device& device_;
  Wiring wiring_;
  std::vector<Fd> kicks_;
  mutable std::mutex mutex_;
  TransportState state_;  // guarded by mutex_
  bool active_ = false;   // guarded by mutex_; the device is to be reset
  // Touched from the device thread, which never takes the lock (the vCPU thread that holds it may be waiting for it).
  std::atomic<uint32_t> interrupt_status_ = 0;
  std::mutex line_;  // of raise(): two pulses at once could be one edge, which comes before the second one's cause
  std::atomic<uint32_t> generation_ = 0;
  std::atomic<bool> needs_reset_ = false;
};

}  // namespace msb::virtio
