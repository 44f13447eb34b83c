// VirtioFs: a share of the host's files (virtio 1.2, 5.11) over any fs::ShareServer.
//
// The device has a thread with a Reactor, which serves its queues from the kick to the interrupt: a request
// may wait for the host's disk, and most are answered sooner than another thread could be woken. The driver's tag is
// what the guest mounts by.
//
// create(), prepare(), activate() and reset() belong to the device thread; they wait for the share's thread, which may
// be in the middle of one request.
//
// State: everything the guest holds (nodes, open files) is the server's; of its own the device has nothing to save.
#pragma once

#include <array>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "base/mailbox.h"
#include "fs/share_server.h"
#include "virtio/served_queue.h"

namespace msb::virtio {

class VirtioFs final : public Device {
 public:
  static constexpr size_t kMaxTag = 36;
  // The driver splits requests to fit: 1 MiB of data in pages takes 256 descriptors, and a few for headers. QEMU's
  // virtio-mmio offers this size for every queue, whatever it is told.
  static constexpr uint16_t kQueueSize = 1024;

  struct Options {
    std::string tag;  // 1 to 36 bytes
    // Has the work done by a thread that is there already, beside the caller; it returns when the device is destroyed.
    // Without, the device starts a thread.
    std::function<void(std::function<void()> work)> lend_thread = {};
  };

  // Failures: invalid_config (the tag), io (no more threads or descriptors).
  static Result<std::unique_ptr<VirtioFs>> create(std::unique_ptr<fs::ShareServer> server, Options options);
  ~VirtioFs() override;

  // Runs this on the share's thread, before the device is activated: raises its walls.
  Result<> prepare(const std::function<Result<>()>& step);

  DeviceType type() const override { return DeviceType::fs; }
  uint64_t features() const override { return 0; }
  std::span<const uint16_t> queue_sizes() const override;
  void read_config(uint32_t offset, MutableByteView out) const override;
  Result<> activate(Activation activation) override;
  void reset() override;

 private:
  // 5.11.2: the first queue is for what must not wait (FORGET); the others are for requests.
  enum Index : uint16_t { kHighPriority = 0, kRequests = 1, kQueueCount = 2 };

  explicit VirtioFs(std::unique_ptr<fs::ShareServer> server) : server_(std::move(server)) {}
  Result<> start(const Options& options);
  Result<> run_thread(const std::function<void(Result<>)>& started);
  Result<> serve(Activation activation);
  Result<> answer(Index queue, Chain chain);

  std::unique_ptr<fs::ShareServer> server_;  // the thread's, which also destroys it
  std::array<uint8_t, kMaxTag + 4> config_{};
  std::array<std::unique_ptr<ServedQueue>, kQueueCount> queues_;  // the thread's; while active
  std::unique_ptr<Reactor> reactor_;                              // the thread's
  std::unique_ptr<Mailbox> mailbox_;                              // to the thread
  std::future<void> ended_;                                       // the thread has let go of all of this
  bool running_ = false;                                          // the thread, in its reactor
  std::thread thread_;                                            // none when it is lent
};

}  // namespace msb::virtio
