#include "kvm/machine.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <optional>
#include <set>

#include "base/units.h"
#include "disk/concat_disk.h"
#include "disk/qcow2.h"
#include "disk/raw_disk.h"
#include "kvm/arch.h"
#include "virtio/block_device.h"
#include "virtio/console_device.h"
#include "virtio/entropy_device.h"
#include "virtio/net_device.h"

namespace msb::kvm {
namespace {

constexpr uint32_t kMaxVcpus = 32;           // CONFIG_NR_CPUS of the guest kernel, and what the MP table has room for
constexpr uint32_t kMaxMemoryMib = 1 << 24;  // 16 TiB
constexpr uint64_t kBalloonPage = virtio::BalloonDevice::kPage;

// The keyboard controller, by which old kernels reset a machine.
constexpr uint64_t kKeyboardCommand = 0x64;
constexpr uint8_t kPulseReset = 0xfe;

Result<Fd> make_eventfd() {
  Fd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) return fail_errno("create an eventfd");
  return fd;
}

// Every descriptor of a configuration, owned, so that none is left open or closed twice.
class Descriptors {
 public:
  static Result<Descriptors> adopt(const MachineConfig& config) {
    Descriptors all;
    std::set<int32_t> seen;
    bool valid = true;
    auto own = [&](int32_t number) {
      if (number < kFirstFreeFd || !seen.insert(number).second) return valid = false, Fd();
      return Fd(number);
    };
    all.kvm = own(config.kvm_fd);
    all.kernel = own(config.kernel_fd);
    all.initramfs = own(config.initramfs_fd);
    all.agent = own(config.agent_fd);
    all.console = own(config.console_fd);
    for (const auto& disk : config.disks) {
      for (int32_t number : disk.fds) all.disks.push_back(own(number));
      all.direct.push_back(disk.direct_fd < 0 ? Fd() : own(disk.direct_fd));
    }
    for (const auto& share : config.shares)
      all.shares.push_back({own(share.fd), share.usage_fd < 0 ? Fd() : own(share.usage_fd)});
    if (config.network) all.cable = own(config.network->cable_fd);
    if (!valid) return fail(ErrorKind::internal, "the machine's configuration names a descriptor twice, or none");
    return all;
  }
  Fd kvm, kernel, initramfs, agent, console, cable;
  std::vector<Fd> disks;   // of all disks, in order, those not yet opened
  std::vector<Fd> direct;  // one for each disk, or invalid
  std::vector<ShareFds> shares;
};

// Takes the disk's descriptors, which are the first of those left.
Result<std::unique_ptr<disk::BlockDevice>> open_disk(const DiskConfig& config, Descriptors& fds, Fd direct) {
  auto access = config.read_only ? disk::Access::read_only : disk::Access::read_write;
  std::vector<std::unique_ptr<disk::BlockDevice>> parts;
  for (size_t i = 0; i < config.fds.size(); ++i) {
    MSB_TRY(auto part,
            disk::RawDisk::adopt(std::move(fds.disks.front()),
                                 {.access = access, .scratch = config.scratch, .direct = std::exchange(direct, Fd())}));
    fds.disks.erase(fds.disks.begin());
    parts.push_back(std::move(part));
  }
  // What a file is has been said by who made it; it is never guessed from what a guest wrote there.
  if (config.format == "concat" && config.read_only) return disk::ConcatDisk::create(std::move(parts));
  if (parts.size() == 1 && config.format == "raw") return std::move(parts.front());
  if (parts.size() == 1 && config.format == "qcow2") return disk::Qcow2Disk::open(std::move(parts.front()), access);
  return fail(ErrorKind::internal,
              cat("the configuration has a disk of format '", config.format, "' with ", parts.size(), " files"));
}

}  // namespace

class Machine::Builder {
 public:
  Builder(Reactor& reactor, Mailbox& device_thread, const MachineConfig& config, Hooks hooks, Descriptors fds)
      : reactor_(reactor),
        device_thread_(device_thread),
        config_(config),
        hooks_(std::move(hooks)),
        fds_(std::move(fds)) {}

  Result<std::unique_ptr<Machine>> build() {
    MSB_CHECK(check());
    machine_.reset(new Machine(device_thread_, std::move(hooks_)));
    MSB_TRY(Kvm kvm, Kvm::adopt(std::move(fds_.kvm)));
    MSB_CHECK(board(kvm));
    MSB_CHECK(serial());
    MSB_CHECK(devices());
    MSB_TRY(uint64_t entry,
            load_guest(*machine_->ram_, {fds_.kernel.get(), fds_.initramfs.get()}, words_, config_.vcpus));
    MSB_CHECK(processors(entry));
    MSB_CHECK(shut_in_shares());
    return std::move(machine_);
  }

 private:
  Result<> check() const {
    if (config_.vcpus == 0 || config_.vcpus > kMaxVcpus)
      return fail(ErrorKind::invalid_config,
                  cat("a sandbox has 1 to ", kMaxVcpus, " virtual processors, not ", config_.vcpus));
    if (config_.memory_mib == 0 || config_.memory_mib > kMaxMemoryMib)
      return fail(ErrorKind::invalid_config, cat("a guest cannot have ", config_.memory_mib, " MiB of memory"));
    return {};
  }

  // Virtual machine, memory and interrupt controllers.
  Result<> board(const Kvm& kvm) {
    if (static_cast<int>(config_.vcpus) > kvm.max_vcpus())
      return fail(ErrorKind::invalid_config, cat("this host's KVM gives a machine at most ", kvm.max_vcpus(),
                                                 " virtual processors, not ", config_.vcpus));
    MSB_TRY(Board board, Board::create(kvm, config_.vcpus));
    MSB_TRY(machine_->ram_, GuestRam::create(config_.memory_mib * kMiB));
    if (machine_->ram_->end() > uint64_t{1} << board.address_bits())
      return fail(ErrorKind::invalid_config,
                  cat("this host's processors cannot address ", config_.memory_mib, " MiB of guest memory"));
    MSB_TRY(Vm vm, kvm.create_vm());
    machine_->vm_ = std::make_unique<Vm>(std::move(vm));
    MSB_CHECK(board.set_up(*machine_->vm_));
    board_ = std::move(board);
    MSB_CHECK(machine_->ram_->attach(*machine_->vm_));
    return {};
  }

  Result<> serial() {
    Machine& machine = *machine_;
    machine.console_ = std::move(fds_.console);
    MSB_TRY(machine.serial_interrupt_, make_eventfd());
    MSB_CHECK(machine.vm_->add_irqfd(machine.serial_interrupt_.get(), kSerialIrq));
    MSB_TRY(machine.serial_,
            SerialPort::create(reactor_, device_thread_, machine.console_.get(), machine.serial_interrupt_.get()));
    SerialPort* port = machine.serial_.get();
    MSB_CHECK(machine.ports_.add(kSerialPort, SerialPort::kRegisters,
                                 {[port](uint64_t offset, MutableByteView out) { port->read(offset, out); },
                                  [port](uint64_t offset, ByteView bytes) { port->write(offset, bytes); }}));
    MSB_CHECK(machine.ports_.add(kKeyboardCommand, 1,
                                 {[](uint64_t, MutableByteView out) { out[0] = 0; },
                                  [&machine](uint64_t, ByteView bytes) {
                                    if (bytes[0] == kPulseReset) machine.reset_requested();
                                  }}));
    return {};
  }

  Result<> devices() {
    Machine& machine = *machine_;
    words_ = config_.kernel_words;
    virtio::ConsoleDevice::Settings agent("agent", std::move(fds_.agent));
    agent.port = 0;
    // Whatever comes or goes there means that the guest is in use.
    agent.activity = [&machine] {
      if (machine.idle_balloon_) machine.idle_balloon_->on_activity();
    };
    MSB_TRY(auto console, virtio::ConsoleDevice::create(reactor_, std::move(agent)));
    MSB_CHECK(add(std::move(console)));
    MSB_CHECK(add(std::make_unique<virtio::EntropyDevice>(reactor_)));
    auto pages = static_cast<uint32_t>(machine.ram_->size() / kBalloonPage);
    auto balloon = std::make_unique<virtio::BalloonDevice>(reactor_, *machine.ram_, pages);
    machine.balloon_ = balloon.get();
    MSB_CHECK(add(std::move(balloon)));
    MSB_TRY(machine.idle_balloon_, virtio::IdleBalloon::create(reactor_, *machine.balloon_, {}));
    for (size_t index = 0; index < config_.disks.size(); ++index) MSB_CHECK_CTX(disk(index), cat("open disk ", index));
    MSB_CHECK(network());
    return shares();
  }

  Result<> network() {
    if (!config_.network) return {};
    Machine& machine = *machine_;
    virtio::NetDevice::Settings settings;
    if (config_.network->mac.size() != settings.mac.size())
      return fail(ErrorKind::internal, "the network card's address has not 6 bytes");
    std::ranges::copy(config_.network->mac, settings.mac.begin());
    settings.mtu = config_.network->mtu;
    settings.cable = std::move(fds_.cable);
    settings.activity = [&machine] {
      if (machine.idle_balloon_) machine.idle_balloon_->on_activity();
    };
    MSB_TRY(auto card, virtio::NetDevice::create(reactor_, std::move(settings)));
    return add(std::move(card));
  }

  Result<> shares() {
    if (config_.shares.empty()) return {};
    Machine& machine = *machine_;
    MSB_TRY(auto device, make_share_device(config_.shares, std::move(fds_.shares), machine.hooks_.lend_share_thread));
    machine.shares_ = device.get();
    return add(std::move(device));
  }

  // Last: what the thread needs of other devices' making is there.
  Result<> shut_in_shares() {
    if (!machine_->shares_) return {};
    std::vector<int> usage;
    for (const auto& share : config_.shares)
      if (share.usage_fd >= 0) usage.push_back(share.usage_fd);
    return machine_->shares_->prepare([&] { return machine_->hooks_.prepare_share_thread(usage); });
  }

  Result<> disk(size_t index) {
    MSB_TRY(auto backend, open_disk(config_.disks[index], fds_, std::move(fds_.direct[index])));
    Machine& machine = *machine_;
    virtio::VirtioBlock::Options options;
    options.id = cat("disk", index);
    options.worker_start = machine.hooks_.prepare_disk_thread;
    options.report = [&machine, index](const Error& error) {
      machine.hooks_.log(cat("disk ", index, ": ", error.to_string()));
    };
    MSB_TRY(auto device, virtio::VirtioBlock::create(reactor_, device_thread_, std::move(backend), std::move(options)));
    machine.disks_.push_back(device.get());
    return add(std::move(device));
  }

  // Gives a device its window, its interrupt and its word on the kernel's command line.
  Result<> add(std::unique_ptr<virtio::Device> device) {
    auto number = static_cast<uint32_t>(machine_->devices_.size());
    uint64_t window = kDeviceWindows + number * virtio::kMmioWindow;
    uint32_t irq = kFirstDeviceIrq + number;
    if (irq > kLastDeviceIrq)
      return fail(ErrorKind::invalid_config,
                  cat("a machine has at most ", kLastDeviceIrq - kFirstDeviceIrq + 1, " devices"));
    Machine& machine = *machine_;
    Slot slot{std::move(device), {}};
    virtio::MmioTransport::Wiring wiring{
        &machine.ram_->memory(), &device_thread_, [&vm = *machine.vm_, irq] { vm.pulse(irq); },
        [&machine](std::string_view line) {
          machine.device_thread_.post([&machine, text = std::string(line)] { machine.hooks_.log(text); });
        }};
    MSB_TRY(slot.transport, virtio::MmioTransport::create(*slot.device, std::move(wiring)));
    virtio::MmioTransport* transport = slot.transport.get();
    for (uint16_t queue = 0; queue < transport->queue_count(); ++queue)
      MSB_CHECK(machine.vm_->add_ioeventfd(transport->kick_fd(queue), window + virtio::kQueueNotify, queue));
    MSB_CHECK(
        machine.windows_.add(window, virtio::kMmioWindow,
                             {[transport](uint64_t offset, MutableByteView out) { transport->read(offset, out); },
                              [transport](uint64_t offset, ByteView bytes) { transport->write(offset, bytes); }}));
    constexpr std::string_view kHex = "0123456789abcdef";
    std::string address;
    for (uint64_t rest = window; rest != 0; rest >>= 4) address.insert(address.begin(), kHex[rest & 15]);
    words_ += cat(" virtio_mmio.device=4K@0x", address, ":", irq);
    machine.devices_.push_back(std::move(slot));
    return {};
  }

  Result<> processors(uint64_t entry) {
    Machine& machine = *machine_;
    for (uint32_t index = 0; index < config_.vcpus; ++index) {
      MSB_TRY(VcpuFd fd, machine.vm_->create_vcpu(index));
      MSB_CHECK(board_->set_up(fd, index, entry));
      MSB_TRY(auto vcpu, Vcpu::create(std::move(fd), index, {machine.ports_, machine.windows_}));
      machine.vcpus_.push_back(std::move(vcpu));
    }
    return {};
  }

  Reactor& reactor_;
  Mailbox& device_thread_;
  const MachineConfig& config_;
  Hooks hooks_;
  Descriptors fds_;
  std::unique_ptr<Machine> machine_;
  std::optional<Board> board_;
  std::string words_;
};

Machine::~Machine() {
  vcpus_.clear();
  // Devices that are reset may still tell of activity.
  idle_balloon_.reset();
}

disk::DiskTraffic Machine::disk_traffic() const {
  disk::DiskTraffic sum;
  for (const auto* disk : disks_) {
    sum.read_bytes += disk->traffic().read_bytes;
    sum.written_bytes += disk->traffic().written_bytes;
  }
  return sum;
}

Result<std::unique_ptr<Machine>> Machine::build(Reactor& reactor, Mailbox& device_thread, const MachineConfig& config,
                                                Hooks hooks) {
  MSB_TRY(Descriptors fds, Descriptors::adopt(config));
  return Builder(reactor, device_thread, config, std::move(hooks), std::move(fds)).build();
}

}  // namespace msb::kvm
