// HostileBed: a machine's devices on its buses, with guest memory that AddressSanitizer watches: each region is a heap
// block of its own, so that a device that leaves it is caught. Two kinds of guests use it: DirectGuest and KvmGuest.
//
// The test's thread builds and destroys it; the devices live on a device thread, as in msb-kvm.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/fd.h"
#include "hardware.h"
#include "kvm/io_bus.h"
#include "kvm/serial.h"
#include "shared_files.h"
#include "virtio/mmio_transport.h"
#include "virtio/page_releaser.h"
#include "virtio/testing/device_thread.h"

namespace msb::hostile {

class HostileBed final : public virtio::PageReleaser {
 public:
  HostileBed();
  ~HostileBed() override;

  const virtio::GuestMemory& memory() const { return memory_; }
  const kvm::IoBus& windows() const { return windows_; }
  const kvm::IoBus& ports() const { return ports_; }

  size_t devices() const { return transports_.size(); }
  virtio::MmioTransport& transport(size_t slot) { return *transports_.at(slot); }
  std::string device_name(size_t slot) const { return names_.at(slot); }
  int interrupt_fd(size_t slot) const { return interrupts_.at(slot).get(); }

  // In guest memory, where the scenario finds it.
  order& orders() { return *reinterpret_cast<order*>(ram_.get() + ORDER_AT); }
  uint8_t* ram() { return ram_.get(); }

  // What no device was offered is as it was.
  bool canary_is_intact() const;
  // Any release of memory that is not the guest's: never.
  bool released_wrongly() const { return released_wrongly_; }
  const SharedFiles& shared_files() const { return files_; }
  // Lines for the log; each device may say one for each time it was started.
  size_t complaints() const;

 private:
  struct Free {
    void operator()(uint8_t* block) const { ::free(block); }
  };
  void release(virtio::GuestAddress address, uint64_t length) override;
  void build();
  void add(std::string name, std::unique_ptr<virtio::Device> device);

  std::unique_ptr<uint8_t, Free> ram_;
  std::unique_ptr<uint8_t, Free> high_ram_;
  virtio::GuestMemory memory_;
  SharedFiles files_;
  SocketPair agent_;
  SocketPair console_;
  mutable std::mutex mutex_;
  size_t complaints_ = 0;  // guarded by mutex_
  std::atomic<bool> released_wrongly_ = false;

  virtio::testing::DeviceThread thread_;
  // Made and destroyed on the device thread.
  std::vector<std::unique_ptr<virtio::Device>> devices_;
  std::vector<std::unique_ptr<virtio::MmioTransport>> transports_;
  std::unique_ptr<kvm::SerialPort> serial_;

  std::vector<std::string> names_;
  std::vector<Fd> interrupts_;
  Fd serial_interrupt_;
  kvm::IoBus windows_;
  kvm::IoBus ports_;
};

}  // namespace msb::hostile
