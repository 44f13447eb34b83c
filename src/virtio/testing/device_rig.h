// DeviceRig: a device under test, without transport or KVM: guest memory, a driver's ring for each queue, real
// eventfds for kicks, a Reactor (the test's thread is the device thread) and a DeviceContext that writes down what the
// device does.
//
//   DeviceRig rig;
//   EntropyDevice device(rig.reactor());
//   ASSERT_TRUE(rig.activate(device));
//   Buffer in = rig.ring(0).in(64);
//   rig.ring(0).add({in});
//   rig.kick(0);
//   ASSERT_TRUE(rig.run_until([&] { return rig.ring(0).has_used(); }));
//   EXPECT_EQ(rig.context().interrupts(0), 1);
//
// Declared before the device, so that it outlives it.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/mailbox.h"
#include "base/reactor.h"
#include "virtio/device.h"
#include "virtio/testing/ring_builder.h"

namespace msb::virtio::testing {

// What a device has told its transport. Any thread; every call also wakes the mailbox's thread, so that run_until()
// looks again.
class RecordingContext final : public DeviceContext {
 public:
  explicit RecordingContext(Mailbox& wake) : wake_(wake) {}
  void interrupt(uint16_t queue) override;
  void config_changed() override;
  void broken(const Error& what) override;

  size_t interrupts(uint16_t queue) const;
  size_t config_changes() const;
  bool is_broken() const;
  std::string broken_because() const;  // empty: it is not
  size_t times_broken() const;

 private:
  Mailbox& wake_;
  mutable std::mutex mutex_;
  std::vector<uint16_t> interrupts_;
  size_t config_changes_ = 0;
  std::vector<std::string> broken_;
};

class DeviceRig {
 public:
  struct Options {
    uint64_t features = ~uint64_t{0};  // those the device offers of these, plus those of queues and transport
    uint64_t ring_features = RingBuilder::kAllFeatures;
    uint16_t queue_size = 64;             // at most what the device allows
    std::vector<uint16_t> disabled = {};  // queues the driver does not set up
  };

  explicit DeviceRig(uint64_t ram_size = uint64_t{16} << 20);
  ~DeviceRig();

  Reactor& reactor() { return *reactor_; }
  Mailbox& mailbox() { return *mailbox_; }
  GuestRam& ram() { return ram_; }
  RecordingContext& context() { return *context_; }
  RingBuilder& ring(uint16_t queue);

  // Sets up a ring for each queue and activates the device. Again, after reset(): with new rings and a new context.
  Result<> activate(Device& device) { return activate(device, Options{}); }
  Result<> activate(Device& device, const Options& options);
  // Hostile: after prepare() rings can be spoilt, then activate_prepared() does the rest.
  void prepare(Device& device, const Options& options);
  Result<> activate_prepared();
  // Device::reset().
  void reset();

  void kick(uint16_t queue);
  int kick_fd(uint16_t queue) const { return kicks_.at(queue).get(); }

  // Dispatches events until the condition holds. False when it does not within a time that is long for any device
  // (to end a broken test, not to measure).
  [[nodiscard]] bool run_until(const std::function<bool()>& condition);
  // Dispatches what is ready now and what follows from that at once: for tests that something does not happen.
  void settle();

 private:
  GuestRam ram_;
  std::unique_ptr<Reactor> reactor_;
  std::unique_ptr<Mailbox> mailbox_;
  std::vector<std::unique_ptr<RecordingContext>> contexts_;  // old ones stay: a device may not call them, and is seen
  RecordingContext* context_ = nullptr;
  Device* device_ = nullptr;
  uint64_t features_ = 0;
  std::vector<std::optional<RingBuilder>> rings_;
  std::vector<Fd> kicks_;
};

}  // namespace msb::virtio::testing
