// EchoDevice: the simplest device there is. Each request's readable bytes are copied to its writable ones. It ends the
// program when the transport breaks the contract of device.h: activation only once between resets, on one thread, with
// queues that are within their bounds.
#pragma once

#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/reactor.h"
#include "virtio/device.h"

namespace msb::virtio::testing {

class EchoDevice final : public Device {
 public:
  static constexpr std::array<uint16_t, 2> kQueueSizes{64, 8};
  static constexpr uint64_t kFeatures = 0b101;
  static constexpr size_t kConfigSize = 12;

  // Without a reactor the device does nothing with its queues.
  explicit EchoDevice(Reactor* reactor = nullptr) : reactor_(reactor) {}
  ~EchoDevice() override;

  DeviceType type() const override { return DeviceType::console; }
  uint64_t features() const override { return kFeatures; }
  std::span<const uint16_t> queue_sizes() const override { return kQueueSizes; }
  void read_config(uint32_t offset, MutableByteView out) const override;
  void write_config(uint32_t offset, ByteView bytes) override;
  Result<> activate(Activation activation) override;
  void reset() override;

  // Any thread.
  uint32_t activations() const { return activations_; }
  uint32_t resets() const { return resets_; }
  bool is_active() const { return active_; }
  bool is_broken() const { return broken_; }
  uint64_t echoed() const { return echoed_; }
  // The next activation fails with this.
  void fail_next_activation() { fail_next_ = true; }

  // Device thread. What activate() was given; only while active.
  const Activation& activation() const { return activation_; }

 private:
  void serve(size_t index);
  Result<> drain(uint16_t index, Queue& queue);

  Reactor* reactor_;
  Activation activation_;
  std::vector<Reactor::Watch> watches_;
  std::atomic<bool> active_ = false;
  std::atomic<bool> broken_ = false;
  std::atomic<bool> fail_next_ = false;
  std::atomic<uint32_t> activations_ = 0;
  std::atomic<uint32_t> resets_ = 0;
  std::atomic<uint64_t> echoed_ = 0;
  std::optional<std::thread::id> thread_;  // that of the first activation
  mutable std::mutex mutex_;
  std::array<uint8_t, kConfigSize> config_{};  // guarded by mutex_
};

}  // namespace msb::virtio::testing
