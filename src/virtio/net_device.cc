#include "virtio/net_device.h"

#include <algorithm>

#include "virtio/config_space.h"
#include "virtio/served_queue.h"

namespace msb::virtio {
namespace {

// Feature bits (5.1.3).
constexpr uint64_t kChecksum = uint64_t{1} << 0;
constexpr uint64_t kGuestChecksum = uint64_t{1} << 1;
constexpr uint64_t kMtu = uint64_t{1} << 3;
constexpr uint64_t kMac = uint64_t{1} << 5;
constexpr uint64_t kGuestTso4 = uint64_t{1} << 7;
constexpr uint64_t kGuestTso6 = uint64_t{1} << 8;
constexpr uint64_t kHostTso4 = uint64_t{1} << 11;
constexpr uint64_t kHostTso6 = uint64_t{1} << 12;
constexpr uint64_t kMergeableBuffers = uint64_t{1} << 15;

// Six frames of 64 KiB in buffers of 1.5 KiB, which is what the driver begins with; it fills them all when it starts.
constexpr uint16_t kSizes[] = {256, 256};

}  // namespace

uint64_t NetDevice::required_features() {
  return kGuestChecksum | kGuestTso4 | kGuestTso6 | kMergeableBuffers;
}

Result<std::unique_ptr<NetDevice>> NetDevice::create(Reactor& reactor, Settings settings) {
  MSB_CHECK(set_blocking(settings.cable.get(), Blocking::no));
  return std::unique_ptr<NetDevice>(new NetDevice(reactor, std::move(settings)));
}

uint64_t NetDevice::features() const {
  return required_features() | kChecksum | kHostTso4 | kHostTso6 | kMtu | kMac;
}

std::span<const uint16_t> NetDevice::queue_sizes() const {
  return kSizes;
}

void NetDevice::read_config(uint32_t offset, MutableByteView out) const {
  // mac, status and max_virtqueue_pairs (not on offer), mtu
  std::array<uint8_t, 12> config{};
  std::ranges::copy(settings_.mac, config.begin());
  store_le<uint16_t>(&config[10], settings_.mtu);
  copy_config(config, offset, out);
}

Result<> NetDevice::activate(Activation activation) {
  auto started = start(std::move(activation));
  if (!started) reset();
  return started;
}

Result<> NetDevice::start(Activation activation) {
  if ((activation.features & required_features()) != required_features())
    return fail(ErrorKind::protocol, "the network driver knows no large frames or mergeable buffers");
  auto& queues = activation.queues;
  if (queues.size() < 2 || !queues[0] || !queues[1])
    return fail(ErrorKind::protocol, "the driver left a queue of the network card disabled");
  context_ = activation.context;
  receiver_ = std::make_unique<NetReceiver>(settings_.cable.get(), *queues[0]);
  sender_ = std::make_unique<NetSender>(settings_.cable.get(), *queues[1]);
  // Kicked only when there was no room.
  receiver_->queue().disable_kicks();
  MSB_TRY(receive_watch_, watch_kick(reactor_, queues[0]->kick, [this] {
            receiver_->queue().disable_kicks();
            receive();
          }));
  send_kick_ = queues[1]->kick;
  MSB_TRY(send_watch_, watch_kick(reactor_, send_kick_, [this] {
            if (!blocked_) send();
          }));
  receiving_ = true;
  blocked_ = false;
  kick_again(send_kick_);  // what the driver published before it said DRIVER_OK
  return watch_cable();
}

void NetDevice::reset() {
  cable_watch_.reset();
  receive_watch_.reset();
  send_watch_.reset();
  receiver_.reset();
  sender_.reset();
  receiving_ = blocked_ = false;
  context_ = nullptr;
}

void NetDevice::receive() {
  const uint64_t before = receiver_->frames();
  auto moved = receiver_->move();
  if (receiver_->frames() != before && settings_.activity) settings_.activity();
  if (moved)
    receiving_ = *moved == NetPause::idle || *moved == NetPause::turn;  // after a turn the cable is still readable
  finish(std::move(moved), receiver_->queue(), 0);
}

void NetDevice::send() {
  const uint64_t before = sender_->frames();
  auto moved = sender_->move();
  if (sender_->frames() != before && settings_.activity) settings_.activity();
  blocked_ = moved && *moved == NetPause::blocked;
  if (moved && *moved == NetPause::turn) kick_again(send_kick_);
  finish(std::move(moved), sender_->queue(), 1);
}

void NetDevice::finish(Result<NetPause> moved, Queue& queue, uint16_t index) {
  Result<> step;
  if (!moved) step = fail(std::move(moved).error());
  if (step) step = tell(queue, index);
  if (step) step = watch_cable();
  if (step) return;
  DeviceContext* context = context_;
  reset();
  context->broken(step.error());
}

Result<> NetDevice::tell(Queue& queue, uint16_t index) {
  MSB_TRY(bool wanted, queue.wants_interrupt());
  if (wanted) context_->interrupt(index);
  return {};
}

Result<> NetDevice::watch_cable() {
  const uint32_t events = (receiving_ ? EPOLLIN : 0u) | (blocked_ ? EPOLLOUT : 0u);
  if (events == 0) {
    // Not an interest in nothing: a hang-up would be reported all the same, again and again.
    cable_watch_.reset();
    return {};
  }
  if (cable_watch_) return cable_watch_.set_events(events);
  MSB_TRY(cable_watch_, reactor_.watch(settings_.cable.get(), events, [this](uint32_t ready) {
    if (blocked_ && (ready & ~uint32_t{EPOLLIN})) send();
    if (receiving_ && (ready & ~uint32_t{EPOLLOUT})) receive();
  }));
  return {};
}

}  // namespace msb::virtio
