// VirtioBlock: a disk of the guest's (virtio 1.2, 5.2) over any disk::BlockDevice.
//
// Requests that need not wait are answered on the device thread; all others go to the disk's own thread and come back
// through the mailbox, as many at a time as are done, with one interrupt. What the guest has flushed survives a power
// loss; a driver that does not know about flushing gets each write flushed.
//
// Device thread, but for read_config().
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>

#include "base/mailbox.h"
#include "disk/block_device.h"
#include "disk/disk_traffic.h"
#include "virtio/block_worker.h"
#include "virtio/served_queue.h"

namespace msb::virtio {

class VirtioBlock final : public Device {
 public:
  struct Options {
    std::string id = {};  // what the guest sees in /sys/block/vdX/serial; 20 bytes of it
    // Runs first on the disk's thread: raises its walls.
    std::function<Result<>()> worker_start = [] { return Result<>(); };
    // An error of the host's disk, of which the guest only learns that there was one. Device thread; once for each
    // activation.
    std::function<void(const Error&)> report = [](const Error&) {};
  };
  static constexpr uint16_t kQueueSize = 128;
  static constexpr uint32_t kMaxSegments = kQueueSize - 2;  // header and status need a descriptor each

  // Starts the disk's thread. Both the reactor and the mailbox must outlive it. Failures: that of worker_start.
  static Result<std::unique_ptr<VirtioBlock>> create(Reactor& reactor, Mailbox& mailbox,
                                                     std::unique_ptr<disk::BlockDevice> disk) {
    return create(reactor, mailbox, std::move(disk), Options{});
  }
  static Result<std::unique_ptr<VirtioBlock>> create(Reactor& reactor, Mailbox& mailbox,
                                                     std::unique_ptr<disk::BlockDevice> disk, Options options);
  ~VirtioBlock() override;

  DeviceType type() const override { return DeviceType::block; }
  uint64_t features() const override;
  std::span<const uint16_t> queue_sizes() const override;
  void read_config(uint32_t offset, MutableByteView out) const override;
  Result<> activate(Activation activation) override;
  // Waits for the one request that is being carried out; drops the others.
  void reset() override;

  // Of the requests that were answered with success.
  const disk::DiskTraffic& traffic() const { return traffic_; }

 private:
  VirtioBlock(Reactor& reactor, Mailbox& mailbox, std::unique_ptr<disk::BlockDevice> disk, Options options);
  Result<> take(Chain chain);
  Result<> give_back(BlockRequest request);
  void deliver_finished();
  void break_down(const Error& what);

  Reactor& reactor_;
  Mailbox& mailbox_;
  Options options_;
  std::unique_ptr<disk::BlockDevice> disk_;
  std::array<uint8_t, 60> config_{};
  BlockExecutor executor_;                 // for what is answered at once
  std::shared_ptr<VirtioBlock*> self_;     // for letters in the mailbox that come after the end
  DeviceContext* context_ = nullptr;       // while active
  std::unique_ptr<ServedQueue> requests_;  // while active
  BlockExecutor::Cache cache_ = BlockExecutor::Cache::write_back;
  uint32_t in_flight_ = 0;
  uint32_t queue_size_ = 0;
  disk::DiskTraffic traffic_;
  bool reported_ = false;
  std::vector<BlockRequest> finished_;   // kept for its memory
  std::unique_ptr<BlockWorker> worker_;  // last: uses the disk
};

}  // namespace msb::virtio
