// Machine: one guest, built in one place from its MachineConfig: memory, processors, interrupt controllers, devices and
// the kernel ready to be entered. It does not run yet: RunningMachine (running_machine.h) takes it from there.
//
// Order of the virtio devices, which is the order of the guest's names: console (port "agent"), entropy, balloon, then
// the disks (/dev/vda ...), a network card when there is a network, and one file system device when there are shares.
// Device n has the window kDeviceWindows + n * 4 KiB and the interrupt kFirstDeviceIrq + n.
//
// Owned by the device thread. What it holds of the configuration's descriptors after build() is only what a running
// guest needs.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "base/mailbox.h"
#include "base/reactor.h"
#include "kvm/io_bus.h"
#include "kvm/machine_config.h"
#include "kvm/memory.h"
#include "kvm/serial.h"
#include "kvm/share_device.h"
#include "kvm/vcpu.h"
#include "virtio/balloon_device.h"
#include "virtio/block_device.h"
#include "virtio/idle_balloon.h"
#include "virtio/mmio_transport.h"

namespace msb::kvm {

class Machine {
 public:
  struct Hooks {
    std::function<void(std::string_view)> log = [](std::string_view) {};        // device thread; one line
    std::function<Result<>()> prepare_disk_thread = [] { return Result<>(); };  // first on each disk's thread
    // Whose thread serves the shares (virtio::VirtioFs::Options); without, one is started.
    std::function<void(std::function<void()>)> lend_share_thread = {};
    // On that thread, when everything is built; `usage` are the records that the shares are counted in.
    std::function<Result<>(const std::vector<int>& usage)> prepare_share_thread = [](const auto&) {
      return Result<>();
    };
  };

  // Takes over every descriptor of `config`, also when it fails. Failures: invalid_config (what was asked for cannot
  // be), unsupported (this host's KVM lacks something), corrupt (kernel or disk), io.
  static Result<std::unique_ptr<Machine>> build(Reactor& reactor, Mailbox& device_thread, const MachineConfig& config,
                                                Hooks hooks);
  // When no processor's thread is left.
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // Called on a vCPU's thread: the guest wants to end by other means than its processors' state.
  std::function<void()> reset_requested = [] {};

  std::vector<std::unique_ptr<Vcpu>>& vcpus() { return vcpus_; }
  SerialPort& serial() { return *serial_; }
  virtio::BalloonDevice& balloon() { return *balloon_; }
  GuestRam& ram() { return *ram_; }
  // Of all disks.
  disk::DiskTraffic disk_traffic() const;

 private:
  class Builder;
  struct Slot {
    std::unique_ptr<virtio::Device> device;
    std::unique_ptr<virtio::MmioTransport> transport;
  };
  Machine(Mailbox& device_thread, Hooks hooks) : device_thread_(device_thread), hooks_(std::move(hooks)) {}

  // Order of life: a transport resets its device, a device may use memory, processors use all of it.
  Mailbox& device_thread_;
  Hooks hooks_;
  std::unique_ptr<GuestRam> ram_;
  std::unique_ptr<Vm> vm_;
  Fd console_;
  Fd serial_interrupt_;
  std::unique_ptr<SerialPort> serial_;
  virtio::BalloonDevice* balloon_ = nullptr;       // one of devices_
  virtio::VirtioFs* shares_ = nullptr;             // one of devices_, or none
  std::vector<const virtio::VirtioBlock*> disks_;  // among devices_
  std::vector<Slot> devices_;
  std::unique_ptr<virtio::IdleBalloon> idle_balloon_;
  IoBus ports_;
  IoBus windows_;
  std::vector<std::unique_ptr<Vcpu>> vcpus_;
};

}  // namespace msb::kvm
