#include "virtio/testing/device_rig.h"

#include <sys/eventfd.h>

#include <algorithm>

namespace msb::virtio::testing {

void RecordingContext::interrupt(uint16_t queue) {
  {
    std::lock_guard lock(mutex_);
    interrupts_.push_back(queue);
  }
  wake_.post([] {});
}

void RecordingContext::config_changed() {
  {
    std::lock_guard lock(mutex_);
    ++config_changes_;
  }
  wake_.post([] {});
}

void RecordingContext::broken(const Error& what) {
  {
    std::lock_guard lock(mutex_);
    broken_.push_back(what.to_string());
  }
  wake_.post([] {});
}

size_t RecordingContext::interrupts(uint16_t queue) const {
  std::lock_guard lock(mutex_);
  return static_cast<size_t>(std::ranges::count(interrupts_, queue));
}

size_t RecordingContext::config_changes() const {
  std::lock_guard lock(mutex_);
  return config_changes_;
}

bool RecordingContext::is_broken() const {
  return times_broken() > 0;
}

std::string RecordingContext::broken_because() const {
  std::lock_guard lock(mutex_);
  return broken_.empty() ? "" : broken_.front();
}

size_t RecordingContext::times_broken() const {
  std::lock_guard lock(mutex_);
  return broken_.size();
}

DeviceRig::DeviceRig(uint64_t ram_size)
    : ram_(ram_size), reactor_(Reactor::create().value()), mailbox_(Mailbox::create(*reactor_).value()) {
  contexts_.push_back(std::make_unique<RecordingContext>(*mailbox_));
  context_ = contexts_.back().get();
}

DeviceRig::~DeviceRig() = default;

RingBuilder& DeviceRig::ring(uint16_t queue) {
  return rings_.at(queue).value();
}

void DeviceRig::prepare(Device& device, const Options& options) {
  device_ = &device;
  features_ = (device.features() & options.features) | options.ring_features;
  if (context_->is_broken() || !rings_.empty()) {
    contexts_.push_back(std::make_unique<RecordingContext>(*mailbox_));
    context_ = contexts_.back().get();
  }
  rings_.clear();
  kicks_.clear();
  const auto sizes = device.queue_sizes();
  for (size_t i = 0; i < sizes.size(); ++i) {
    kicks_.emplace_back(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    rings_.emplace_back();
    if (std::ranges::find(options.disabled, i) != options.disabled.end()) continue;
    rings_.back().emplace(ram_, std::min(sizes[i], options.queue_size), options.ring_features);
  }
}

Result<> DeviceRig::activate_prepared() {
  Activation activation{.memory = &ram_.memory(), .features = features_, .queues = {}, .context = context_};
  for (size_t i = 0; i < rings_.size(); ++i) {
    activation.queues.emplace_back();
    if (!rings_[i]) continue;
    MSB_TRY(auto queue, Queue::activate(ram_.memory(), rings_[i]->layout(), device_->queue_sizes()[i], features_));
    activation.queues.back().emplace(ActiveQueue{.queue = std::move(queue), .kick = kicks_[i].get()});
  }
  return device_->activate(std::move(activation));
}

Result<> DeviceRig::activate(Device& device, const Options& options) {
  prepare(device, options);
  return activate_prepared();
}

void DeviceRig::reset() {
  device_->reset();
}

void DeviceRig::kick(uint16_t queue) {
  (void)::eventfd_write(kicks_.at(queue).get(), 1);
}

bool DeviceRig::run_until(const std::function<bool()>& condition) {
  bool late = false;
  auto watchdog = Timer::create(*reactor_, [&] { late = true; }).value();
  if (!watchdog->arm(std::chrono::seconds(60))) return false;
  while (!late) {
    if (condition()) return true;
    if (!reactor_->run_once()) return false;
  }
  return false;
}

void DeviceRig::settle() {
  // A marker becomes ready after everything that is ready now, and is dispatched after it: epoll keeps that order.
  for (int round = 0; round < 3; ++round) {
    bool reached = false;
    mailbox_->post([&] { reached = true; });
    while (!reached && reactor_->run_once()) {
    }
  }
}

}  // namespace msb::virtio::testing
