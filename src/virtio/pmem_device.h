// PmemDevice: a read-only image as persistent memory of the guest (virtio 1.2, 5.19): a layer's pages come straight
// from the host's page cache, shared by all sandboxes that use it.
//
// Only the device model. Whoever builds the machine maps the image read-only at `range` of the guest's physical
// addresses, outside RAM, 2 MiB-aligned. Nothing can be dirty, so a flush is answered at once.
#pragma once

#include "virtio/served_queue.h"

namespace msb::virtio {

class PmemDevice final : public Device {
 public:
  struct Range {
    uint64_t start = 0;  // guest physical
    uint64_t size = 0;
  };

  PmemDevice(Reactor& reactor, Range range) : reactor_(reactor), range_(range) {}
  ~PmemDevice() override = default;

  DeviceType type() const override { return DeviceType::pmem; }
  uint64_t features() const override { return 0; }
  std::span<const uint16_t> queue_sizes() const override;
  void read_config(uint32_t offset, MutableByteView out) const override;
  Result<> activate(Activation activation) override;
  void reset() override { requests_.reset(); }

 private:
  Result<> answer(Chain chain);

  Reactor& reactor_;
  Range range_;
  std::unique_ptr<ServedQueue> requests_;
};

}  // namespace msb::virtio
