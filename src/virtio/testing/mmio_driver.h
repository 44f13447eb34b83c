// MmioDriver: a guest's driver at the registers of an MmioTransport, for tests. Called on a thread that plays a vCPU.
#pragma once

#include "virtio/mmio_transport.h"
#include "virtio/testing/ring_builder.h"

namespace msb::virtio::testing {

class MmioDriver {
 public:
  // Offsets of registers (virtio 1.2, 4.2.2).
  static constexpr uint64_t kMagic = 0x00, kVersion = 0x04, kDeviceId = 0x08, kDeviceFeatures = 0x10,
                            kDeviceFeaturesSelect = 0x14, kDriverFeatures = 0x20, kDriverFeaturesSelect = 0x24,
                            kQueueSelect = 0x30, kQueueSizeMax = 0x34, kQueueSize = 0x38, kQueueReady = 0x44,
                            kInterruptStatus = 0x60, kInterruptAcknowledge = 0x64, kStatus = 0x70,
                            kQueueDescriptors = 0x80, kQueueDriver = 0x90, kQueueDevice = 0xa0,
                            kConfigGeneration = 0xfc, kConfig = 0x100;

  explicit MmioDriver(MmioTransport& transport) : transport_(transport) {}

  uint32_t read(uint64_t offset) {
    uint8_t bytes[4];
    transport_.read(offset, bytes);
    return load_le<uint32_t>(bytes);
  }
  void write(uint64_t offset, uint32_t value) {
    uint8_t bytes[4];
    store_le<uint32_t>(bytes, value);
    transport_.write(offset, bytes);
  }
  void write64(uint64_t offset, uint64_t value) {
    write(offset, static_cast<uint32_t>(value));
    write(offset + 4, static_cast<uint32_t>(value >> 32));
  }

  uint32_t status() { return read(kStatus); }
  void reset() { write(kStatus, 0); }
  // The status with these bits as well; what it is then.
  uint32_t add_status(uint32_t bits) {
    write(kStatus, status() | bits);
    return status();
  }
  uint64_t device_features() {
    write(kDeviceFeaturesSelect, 1);
    const uint64_t high = read(kDeviceFeatures);
    write(kDeviceFeaturesSelect, 0);
    return high << 32 | read(kDeviceFeatures);
  }
  void write_features(uint64_t features) {
    for (uint32_t half = 0; half < 2; ++half) {
      write(kDriverFeaturesSelect, half);
      write(kDriverFeatures, static_cast<uint32_t>(features >> (32 * half)));
    }
  }
  void write_queue(uint32_t index, const QueueLayout& layout) {
    write(kQueueSelect, index);
    write(kQueueSize, layout.size);
    write64(kQueueDescriptors, to_number(layout.descriptors));
    write64(kQueueDriver, to_number(layout.driver));
    write64(kQueueDevice, to_number(layout.device));
    write(kQueueReady, layout.ready);
  }

  // From reset to just before DRIVER_OK. False when the device does not take the features.
  [[nodiscard]] bool negotiate(uint64_t features) {
    reset();
    add_status(status::kAcknowledge);
    add_status(status::kDriver);
    write_features(features);
    return (add_status(status::kFeaturesOk) & status::kFeaturesOk) != 0;
  }
  // All of it, with a ring for the first queues. False when the device is not fine then.
  [[nodiscard]] bool start(uint64_t features, std::initializer_list<const RingBuilder*> rings) {
    if (!negotiate(features)) return false;
    uint32_t index = 0;
    for (const RingBuilder* ring : rings) write_queue(index++, ring->layout());
    return (add_status(status::kDriverOk) & (status::kDriverOk | status::kNeedsReset)) == status::kDriverOk;
  }
  void kick(uint32_t queue) { write(kQueueNotify, queue); }
  uint32_t take_interrupts() {
    const uint32_t causes = read(kInterruptStatus);
    write(kInterruptAcknowledge, causes);
    return causes;
  }

 private:
  MmioTransport& transport_;
};

}  // namespace msb::virtio::testing
