#include "virtio/mmio_transport.h"

#include <sys/eventfd.h>

#include <algorithm>

namespace msb::virtio {
namespace {

// Registers (virtio 1.2, 4.2.2).
enum Register : uint32_t {
  kMagic = 0x000,
  kVersion = 0x004,
  kDeviceId = 0x008,
  kVendorId = 0x00c,
  kDeviceFeatures = 0x010,
  kDeviceFeaturesSelect = 0x014,
  kDriverFeatures = 0x020,
  kDriverFeaturesSelect = 0x024,
  kQueueSelect = 0x030,
  kQueueSizeMax = 0x034,
  kQueueSize = 0x038,
  kQueueReady = 0x044,
  // kQueueNotify = 0x050 is in the header
  kInterruptStatus = 0x060,
  kInterruptAcknowledge = 0x064,
  kStatus = 0x070,
  kQueueDescriptorsLow = 0x080,
  kQueueDescriptorsHigh = 0x084,
  kQueueDriverLow = 0x090,
  kQueueDriverHigh = 0x094,
  kQueueDeviceLow = 0x0a0,
  kQueueDeviceHigh = 0x0a4,
  kSharedLengthLow = 0x0b0,
  kSharedBaseHigh = 0x0bc,
  kConfigGeneration = 0x0fc,
  kConfig = 0x100,
};

constexpr uint32_t kMagicValue = 0x74726976;   // "virt"
constexpr uint32_t kVendorValue = 0x5842534d;  // "MSBX"

// Causes of an interrupt.
constexpr uint32_t kUsedBuffer = 1;
constexpr uint32_t kConfigChange = 2;

// A 64-bit address of which the driver writes one half.
GuestAddress with_low(GuestAddress address, uint32_t value) {
  return GuestAddress{(to_number(address) & ~uint64_t{0xffffffff}) | value};
}
GuestAddress with_high(GuestAddress address, uint32_t value) {
  return GuestAddress{(to_number(address) & 0xffffffff) | uint64_t{value} << 32};
}

bool is_register(uint64_t offset, size_t size) {
  return offset < kConfig && offset % 4 == 0 && size == 4;
}
bool is_config(uint64_t offset, size_t size) {
  return offset >= kConfig && offset < kMmioWindow && size <= kMmioWindow - offset;
}

}  // namespace

Result<std::unique_ptr<MmioTransport>> MmioTransport::create(Device& device, Wiring wiring) {
  std::vector<Fd> kicks;
  for (size_t i = 0; i < device.queue_sizes().size(); ++i) {
    Fd kick(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!kick) return fail_errno("create an eventfd for a queue");
    kicks.push_back(std::move(kick));
  }
  return std::unique_ptr<MmioTransport>(new MmioTransport(device, std::move(wiring), std::move(kicks)));
}

MmioTransport::MmioTransport(Device& device, Wiring wiring, std::vector<Fd> kicks)
    : device_(device), wiring_(std::move(wiring)), kicks_(std::move(kicks)) {
  state_.queues.resize(kicks_.size());
}

MmioTransport::~MmioTransport() {
  if (active_) device_.reset();
}

void MmioTransport::read(uint64_t offset, MutableByteView out) {
  std::ranges::fill(out, uint8_t{0});
  std::lock_guard lock(mutex_);
  if (is_config(offset, out.size())) return device_.read_config(static_cast<uint32_t>(offset - kConfig), out);
  if (is_register(offset, out.size())) store_le<uint32_t>(out.data(), read_register(static_cast<uint32_t>(offset)));
}

void MmioTransport::write(uint64_t offset, ByteView bytes) {
  std::lock_guard lock(mutex_);
  if (is_config(offset, bytes.size())) {
    // 3.1.1: the configuration is the driver's to change once it has found the device.
    if (has(status::kDriver)) device_.write_config(static_cast<uint32_t>(offset - kConfig), bytes);
    return;
  }
  if (is_register(offset, bytes.size())) write_register(static_cast<uint32_t>(offset), load_le<uint32_t>(bytes.data()));
}

TransportState MmioTransport::state() const {
  std::lock_guard lock(mutex_);
  return state_;
}

uint64_t MmioTransport::offered() const {
  return device_.features() | kFeatureVersion1 | kFeatureIndirect | kFeatureEventIndex;
}

QueueLayout* MmioTransport::selected_queue() {
  return state_.queue_select < state_.queues.size() ? &state_.queues[state_.queue_select] : nullptr;
}

uint32_t MmioTransport::read_register(uint32_t offset) {
  const QueueLayout* queue = selected_queue();
  switch (offset) {
    case kMagic:
      return kMagicValue;
    case kVersion:
      return 2;
    case kDeviceId:
      return static_cast<uint32_t>(device_.type());
    case kVendorId:
      return kVendorValue;
    case kDeviceFeatures:
      return state_.device_features_select < 2
                 ? static_cast<uint32_t>(offered() >> (32 * state_.device_features_select))
                 : 0;
    case kQueueSizeMax:
      return queue ? device_.queue_sizes()[state_.queue_select] : 0;
    case kQueueReady:
      return queue && queue->ready;
    case kInterruptStatus:
      return interrupt_status_.load();
    case kStatus:
      return state_.status | (needs_reset_.load() ? status::kNeedsReset : 0);
    case kConfigGeneration:
      return generation_.load();
    default:
      // No shared memory: 4.2.2.
      return offset >= kSharedLengthLow && offset <= kSharedBaseHigh ? 0xffffffff : 0;
  }
}

void MmioTransport::write_register(uint32_t offset, uint32_t value) {
  switch (offset) {
    case kDeviceFeaturesSelect:
      state_.device_features_select = value;
      return;
    case kDriverFeaturesSelect:
      state_.driver_features_select = value;
      return;
    case kDriverFeatures:
      return write_features(value);
    case kQueueSelect:
      state_.queue_select = value;
      return;
    case kQueueNotify:
      // Without an ioeventfd, or from elsewhere than its exact width. What the driver did is the device's to judge.
      if (has(status::kDriverOk) && value < kicks_.size() && state_.queues[value].ready)
        (void)::eventfd_write(kicks_[value].get(), 1);
      return;
    case kInterruptAcknowledge:
      interrupt_status_.fetch_and(~value);
      return;
    case kStatus:
      return write_status(value);
    default:
      return write_queue(offset, value);
  }
}

void MmioTransport::write_features(uint32_t value) {
  if (!has(status::kDriver) || has(status::kFeaturesOk) || has(status::kFailed)) return;
  const uint32_t select = state_.driver_features_select;
  if (select >= 2) {
    state_.took_unknown_features |= value != 0;
    return;
  }
  const uint64_t mask = uint64_t{0xffffffff} << (32 * select);
  state_.driver_features = (state_.driver_features & ~mask) | uint64_t{value} << (32 * select);
}

void MmioTransport::write_queue(uint32_t offset, uint32_t value) {
  QueueLayout* queue = selected_queue();
  if (!queue || !has(status::kFeaturesOk) || has(status::kDriverOk) || has(status::kFailed)) return;
  if (offset == kQueueReady) {
    if (value <= 1) queue->ready = value == 1;
    return;
  }
  if (queue->ready) return;  // 4.2.2.2: not to be changed then
  switch (offset) {
    // Too large stays too large: Queue::activate() refuses it.
    case kQueueSize:
      queue->size = static_cast<uint16_t>(std::min<uint32_t>(value, 0xffff));
      return;
    case kQueueDescriptorsLow:
      queue->descriptors = with_low(queue->descriptors, value);
      return;
    case kQueueDescriptorsHigh:
      queue->descriptors = with_high(queue->descriptors, value);
      return;
    case kQueueDriverLow:
      queue->driver = with_low(queue->driver, value);
      return;
    case kQueueDriverHigh:
      queue->driver = with_high(queue->driver, value);
      return;
    case kQueueDeviceLow:
      queue->device = with_low(queue->device, value);
      return;
    case kQueueDeviceHigh:
      queue->device = with_high(queue->device, value);
      return;
    default:
      return;
  }
}

void MmioTransport::write_status(uint32_t value) {
  using namespace status;
  if (value == 0) return reset();
  if ((state_.status & ~value) != 0 || has(kFailed)) return;
  // Each step needs the one before it (3.1.1).
  const auto step = [&](uint32_t bit, uint32_t before) {
    return (value & bit) && !has(bit) && (state_.status & before) == before;
  };
  if (step(kAcknowledge, 0)) state_.status |= kAcknowledge;
  if (step(kDriver, kAcknowledge)) state_.status |= kDriver;
  if (value & kFailed) {
    state_.status |= kFailed;
    return;
  }
  if (step(kFeaturesOk, kDriver)) {
    const uint64_t taken = state_.driver_features;
    const bool fine = (taken & ~offered()) == 0 && (taken & kFeatureVersion1) != 0 && !state_.took_unknown_features;
    if (fine) state_.status |= kFeaturesOk;
  }
  if (step(kDriverOk, kFeaturesOk)) {
    state_.status |= kDriverOk;
    activate();
  }
}

void MmioTransport::activate() {
  active_ = true;
  wiring_.device_thread->run([this] {
    auto done = [&]() -> Result<> {
      Activation activation{.memory = wiring_.memory,
                            .features = state_.driver_features,
                            .queues = std::vector<std::optional<ActiveQueue>>(kicks_.size()),
                            .context = this};
      for (size_t i = 0; i < kicks_.size(); ++i) {
        if (!state_.queues[i].ready) continue;
        MSB_TRY(auto queue,
                Queue::activate(*wiring_.memory, state_.queues[i], device_.queue_sizes()[i], state_.driver_features));
        activation.queues[i].emplace(ActiveQueue{.queue = std::move(queue), .kick = kicks_[i].get()});
      }
      return device_.activate(std::move(activation));
    }();
    if (!done) broken(done.error());
  });
}

void MmioTransport::reset() {
  if (std::exchange(active_, false)) wiring_.device_thread->run([this] { device_.reset(); });
  for (const Fd& kick : kicks_) {
    eventfd_t count = 0;
    (void)::eventfd_read(kick.get(), &count);
  }
  state_ = TransportState{.queues = std::vector<QueueLayout>(kicks_.size())};
  needs_reset_ = false;
  interrupt_status_ = 0;
}

void MmioTransport::interrupt(uint16_t) {
  raise(kUsedBuffer);
}

void MmioTransport::config_changed() {
  ++generation_;
  raise(kConfigChange);
}

void MmioTransport::broken(const Error& what) {
  if (needs_reset_.exchange(true)) return;
  if (wiring_.log)
    wiring_.log(cat("virtio device of type ", static_cast<uint32_t>(device_.type()),
                    " stops until the guest resets it: ", what.to_string()));
  raise(kConfigChange);
}

void MmioTransport::raise(uint32_t cause) {
  interrupt_status_.fetch_or(cause);
  std::lock_guard lock(line_);
  wiring_.interrupt();
}

}  // namespace msb::virtio
