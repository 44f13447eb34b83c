// BalloonDevice: takes memory from the guest and gives it back (virtio 1.2, 5.5), in two ways:
//   * the balloon: set_target() asks the guest to hand over so many pages, or to take them back;
//   * free-page reporting: the guest names free memory (in blocks of 2 MiB and more) within seconds of freeing it.
// Either way the pages' host memory goes back through PageReleaser, neighbours in one call.
//
// Page numbers and reports are hostile: each is looked up in guest memory. Nothing can be gained by lying: a guest can
// only lose pages of its own, and one that takes pages without saying so (DEFLATE_ON_OOM, which it may do when short of
// memory) gets fresh zeroed ones.
//
// Bounds: at most kMaxPages page numbers a request and 8 requests a turn of the reactor, so 8192 releases of one page
// between two looks at the other devices.
//
// Device thread, but for read_config() and write_config().
#pragma once

#include <atomic>

#include "virtio/page_releaser.h"
#include "virtio/served_queue.h"

namespace msb::virtio {

// What the device itself has to remember of its guest, in pages. Plain, to be saved and restored.
struct BalloonState {
  uint32_t target = 0;
  uint32_t actual = 0;      // as the guest says in the configuration space
  uint64_t in_balloon = 0;  // by the queues' account, which is on time where `actual` comes later
  uint64_t peak = 0;        // of that, since the target was set
};

class BalloonDevice final : public Device {
 public:
  static constexpr uint64_t kPage = 4096;    // whatever the guest's own page size (5.5.6)
  static constexpr size_t kMaxPages = 1024;  // Linux sends 256

  // What the guest says of its memory, in bytes. Only ever a hint: the guest may say anything.
  struct Stats {
    uint64_t total = 0;
    uint64_t free = 0;
    uint64_t available = 0;  // what programs could still take without swapping: free, and most of the page cache
    uint64_t caches = 0;
  };

  // `pages`: the guest's RAM; no target may exceed it. The releaser must outlive the device.
  BalloonDevice(Reactor& reactor, PageReleaser& releaser, uint32_t pages)
      : reactor_(reactor), releaser_(releaser), pages_(pages) {}
  ~BalloonDevice() override = default;

  // How many pages the guest shall give up. Also before activation. A guest that cannot give as many tries again five
  // times a second, so a target that turns out too high is to be lowered to actual().
  void set_target(uint32_t pages);
  uint32_t target() const { return target_; }
  // How many pages the guest says it has given up.
  uint32_t actual() const { return actual_; }
  uint32_t pages() const { return pages_; }
  BalloonState state() const { return {target_, actual_, in_balloon_, peak_}; }

  // Asks the guest, which answers once or (an old or hostile one) never. A second question replaces the first; not to
  // be asked from inside an answer.
  void request_stats(std::function<void(const Stats&)> answer);
  // Called when the guest takes pages back on its own, though the target wants them in the balloon: it is short of
  // memory.
  void on_pressure(std::function<void()> pressure) { pressure_ = std::move(pressure); }

  DeviceType type() const override { return DeviceType::balloon; }
  uint64_t features() const override;
  std::span<const uint16_t> queue_sizes() const override;
  void read_config(uint32_t offset, MutableByteView out) const override;
  void write_config(uint32_t offset, ByteView bytes) override;
  Result<> activate(Activation activation) override;
  void reset() override;

 private:
  enum class Direction { inflate, deflate };
  Result<> start(Activation activation);
  Result<> move_pages(Direction direction, Chain chain);
  Result<> report(Chain chain);
  Result<> stats(Chain chain);
  Result<> ask_for_stats();
  void broken(const Error& what);

  Reactor& reactor_;
  PageReleaser& releaser_;
  const uint32_t pages_;
  std::atomic<uint32_t> target_ = 0;
  std::atomic<uint32_t> actual_ = 0;

  const GuestMemory* memory_ = nullptr;
  DeviceContext* context_ = nullptr;
  std::unique_ptr<ServedQueue> inflate_;
  std::unique_ptr<ServedQueue> deflate_;
  std::unique_ptr<ServedQueue> stats_queue_;
  std::unique_ptr<ServedQueue> reporting_;

  // By the queues' account, which is on time where the configuration field comes later.
  uint64_t in_balloon_ = 0;
  uint64_t peak_ = 0;  // the most since the target was set
  std::function<void()> pressure_;

  // The driver leaves one buffer with us; returning it is the question, the next one the answer.
  std::optional<Chain> stats_buffer_;
  bool asked_ = false;
  std::function<void(const Stats&)> answer_;
};

}  // namespace msb::virtio
