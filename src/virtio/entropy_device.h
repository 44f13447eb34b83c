// EntropyDevice: random bytes of the host's for the guest (virtio 1.2, 5.4).
//
// The guest's kernel asks once at boot, before its own generator is seeded, and then about once a minute.
#pragma once

#include "virtio/served_queue.h"

namespace msb::virtio {

class EntropyDevice final : public Device {
 public:
  // How much one request gets at most. getrandom() gives up to so much in one go, never less and never interrupted;
  // it is four seeds of the guest's generator; and it bounds what a request costs us. The driver asks again for more.
  static constexpr size_t kMaxBytes = 256;

  explicit EntropyDevice(Reactor& reactor) : reactor_(reactor) {}
  ~EntropyDevice() override = default;

  DeviceType type() const override { return DeviceType::entropy; }
  uint64_t features() const override { return 0; }
  std::span<const uint16_t> queue_sizes() const override;
  void read_config(uint32_t offset, MutableByteView out) const override;
  Result<> activate(Activation activation) override;
  void reset() override { requests_.reset(); }

 private:
  Result<> answer(Chain chain);

  Reactor& reactor_;
  std::unique_ptr<ServedQueue> requests_;
};

}  // namespace msb::virtio
