#include "hostile_bed.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cstring>

#include "virtio/balloon_device.h"
#include "virtio/block_device.h"
#include "virtio/console_device.h"
#include "virtio/entropy_device.h"
#include "virtio/fs_device.h"

namespace msb::hostile {
namespace {

constexpr uint8_t kCanary = 0xc5;

uint8_t* pages(uint64_t size) {
  auto* block = static_cast<uint8_t*>(std::aligned_alloc(4096, size));
  std::memset(block, 0, size);
  return block;
}

Fd event() {
  return Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

}  // namespace

HostileBed::HostileBed()
    : ram_(pages(RAM_SIZE)),
      high_ram_(pages(HIGH_RAM_SIZE)),
      memory_(
          virtio::GuestMemory::create({{0, ram_.get(), RAM_SIZE}, {HIGH_RAM, high_ram_.get(), HIGH_RAM_SIZE}}).value()),
      files_(SharedFiles::create().value()),
      agent_(make_socket_pair().value()),
      console_(make_socket_pair().value()) {
  std::memset(ram_.get() + CANARY_START, kCanary, RAM_SIZE - CANARY_START);
  thread_.run([this] { build(); });
}

HostileBed::~HostileBed() {
  thread_.run([this] {
    transports_.clear();
    devices_.clear();
    serial_.reset();
  });
}

void HostileBed::build() {
  using namespace virtio;
  auto& reactor = thread_.reactor();
  add("console", ConsoleDevice::create(reactor, {"agent", std::move(agent_.first)}).value());
  add("entropy", std::make_unique<EntropyDevice>(reactor));
  add("balloon", std::make_unique<BalloonDevice>(reactor, *this, RAM_SIZE / 4096));

  Bytes disk(size_t{DISK_SECTORS} * 512);
  std::memcpy(disk.data() + size_t{MARK_SECTOR} * 512, "disk", 4);
  for (auto access : {disk::Access::read_write, disk::Access::read_only})
    add(access == disk::Access::read_only ? "layer" : "disk",
        VirtioBlock::create(reactor, thread_.mailbox(), std::make_unique<disk::MemoryDisk>(disk, access)).value());

  std::vector<fs::Share> shares;
  shares.push_back({"rw", files_.open("rw").value()});
  shares.push_back({"ro", files_.open("ro").value(), {.writable = fs::Writable::no}});
  add("share", VirtioFs::create(fs::ShareServer::create(std::move(shares)).value(), {.tag = "msb"}).value());

  serial_interrupt_ = event();
  (void)set_blocking(console_.first.get(), Blocking::no);
  serial_ = kvm::SerialPort::create(reactor, thread_.mailbox(), console_.first.get(), serial_interrupt_.get()).value();
  (void)ports_.add(kvm::kSerialPort, kvm::SerialPort::kRegisters,
                   {[this](uint64_t offset, MutableByteView out) { serial_->read(offset, out); },
                    [this](uint64_t offset, ByteView bytes) { serial_->write(offset, bytes); }});
}

void HostileBed::add(std::string name, std::unique_ptr<virtio::Device> device) {
  const size_t slot = transports_.size();
  names_.push_back(std::move(name));
  interrupts_.push_back(event());
  devices_.push_back(std::move(device));
  transports_.push_back(virtio::MmioTransport::create(
                            *devices_.back(), {.memory = &memory_,
                                               .device_thread = &thread_.mailbox(),
                                               .interrupt = [fd = interrupts_.back().get()] { ::eventfd_write(fd, 1); },
                                               .log =
                                                   [this](std::string_view) {
                                                     std::lock_guard lock(mutex_);
                                                     ++complaints_;
                                                   }})
                            .value());
  auto* transport = transports_.back().get();
  (void)windows_.add(DEVICE_WINDOWS + slot * WINDOW, WINDOW,
                     {[transport](uint64_t offset, MutableByteView out) { transport->read(offset, out); },
                      [transport](uint64_t offset, ByteView bytes) { transport->write(offset, bytes); }});
}

void HostileBed::release(virtio::GuestAddress address, uint64_t length) {
  auto range = memory_.slice(address, length);
  if (!range || to_number(address) % 4096 != 0 || length % 4096 != 0) {
    released_wrongly_ = true;
    return;
  }
  std::ranges::fill(*range, uint8_t{0});
}

bool HostileBed::canary_is_intact() const {
  return std::all_of(ram_.get() + CANARY_START, ram_.get() + RAM_SIZE, [](uint8_t byte) { return byte == kCanary; });
}

size_t HostileBed::complaints() const {
  std::lock_guard lock(mutex_);
  return complaints_;
}

}  // namespace msb::hostile
