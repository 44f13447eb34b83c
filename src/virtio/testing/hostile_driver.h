// HostileDriver: a fuzzer's input as what a guest's driver does to a device: descriptors, ring entries and indices,
// memory contents, kicks, resets, mostly plausible and sometimes not. What the host does meanwhile is the target's
// business (`host`).
//
// Checked after every step: a broken device says so once, and stays silent and out of guest memory until it is reset.
#pragma once

#include <cstdlib>
#include <functional>

#include "virtio/testing/device_rig.h"

namespace msb::virtio::testing {

class HostileDriver {
 public:
  // `host` takes what it needs from the input. Features come from the input.
  HostileDriver(DeviceRig& rig, Device& device, ByteReader& input, std::function<void(ByteReader&)> host)
      : rig_(rig), device_(device), input_(input), host_(std::move(host)) {
    scratch_ = rig_.ram().allocate(kScratch, 4096);
  }

  void run() {
    activate();
    // Bounded besides by the length of the input: memory for rings is not reused.
    for (int step = 0; step < 300 && input_.remaining() > 0; ++step) {
      const bool was_broken = rig_.context().is_broken();
      const auto before = traces();
      const bool was_reset = act();
      require(rig_.context().times_broken() <= 1);
      require(was_reset || !was_broken || traces() == before);
    }
    rig_.reset();
    const auto before = traces();
    for (uint16_t queue = 0; queue < queues(); ++queue) rig_.kick(queue);
    rig_.settle();
    require(traces() == before);
  }

 private:
  static constexpr uint64_t kScratch = 16 << 10;
  static constexpr int kActivations = 6;

  static void require(bool condition) {
    if (!condition) std::abort();
  }
  uint64_t number(int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value = (value << 8) | input_.le<uint8_t>().value_or(0);
    return value;
  }
  uint16_t queues() const { return static_cast<uint16_t>(device_.queue_sizes().size()); }

  void activate() {
    const uint64_t choice = number(1);
    active_ = rig_.activate(device_, {.features = choice & 1 ? choice >> 4 : ~uint64_t{0},
                                      .ring_features = kFeatureVersion1 | (choice & 2 ? kFeatureIndirect : 0) |
                                                       (choice & 4 ? kFeatureEventIndex : 0)})
                  .has_value();
    ++activations_;
  }

  // What the device has left in the rings and told its transport.
  std::vector<uint64_t> traces() {
    std::vector<uint64_t> all;
    for (uint16_t queue = 0; queue < queues(); ++queue) {
      all.push_back(rig_.ring(queue).used_index());
      all.push_back(rig_.context().interrupts(queue));
    }
    return all;
  }

  bool act() {
    const uint64_t what = number(1);
    RingBuilder& ring = rig_.ring(static_cast<uint16_t>((what >> 4) % queues()));
    const uint16_t queue = static_cast<uint16_t>((what >> 4) % queues());
    switch (what % 11) {
      case 0:
      case 1: {  // a buffer where there is memory
        const auto index = static_cast<uint16_t>(number(1) % ring.size());
        const uint64_t offset = number(2) % kScratch;
        const uint32_t length = static_cast<uint32_t>(number(2) % (kScratch - offset + 1));
        const auto flags = static_cast<uint16_t>(number(1) % 8);
        ring.set_descriptor(index, {to_number(scratch_) + offset, length, flags, static_cast<uint16_t>(number(1))});
        break;
      }
      case 2: {  // any buffer
        const auto index = static_cast<uint16_t>(number(1) % ring.size());
        ring.set_descriptor(index, {number(8), static_cast<uint32_t>(number(4)), static_cast<uint16_t>(number(2)),
                                    static_cast<uint16_t>(number(2))});
        break;
      }
      case 3:
      case 4:
        ring.publish(static_cast<uint16_t>(number(1) % (ring.size() + 1u)));
        break;
      case 5: {  // contents
        const uint64_t offset = number(2) % kScratch;
        const auto bytes = input_.take(std::min<size_t>({number(1), input_.remaining(), kScratch - offset}));
        rig_.ram().put(GuestAddress{to_number(scratch_) + offset}, *bytes);
        break;
      }
      case 6:
      case 7:
        rig_.kick(queue);
        rig_.settle();
        break;
      case 8: {
        const auto offset = static_cast<uint32_t>(number(1));
        const auto bytes = input_.take(std::min<size_t>(offset % 9, input_.remaining()));
        device_.write_config(offset % 16, *bytes);
        Bytes read(offset % 33);
        device_.read_config(offset, read);
        break;
      }
      case 9:
        if (what < 224) {
          host_(input_);
          rig_.settle();
        } else {
          ring.set_available_index(static_cast<uint16_t>(number(2)));
        }
        break;
      case 10:
        if (activations_ == kActivations) break;
        rig_.reset();
        activate();
        return true;
    }
    return false;
  }

  DeviceRig& rig_;
  Device& device_;
  ByteReader& input_;
  std::function<void(ByteReader&)> host_;
  GuestAddress scratch_{};
  bool active_ = false;
  int activations_ = 0;
};

}  // namespace msb::virtio::testing
