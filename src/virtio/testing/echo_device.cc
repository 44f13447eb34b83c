#include "virtio/testing/echo_device.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace msb::virtio::testing {
namespace {

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "echo_device: the transport broke its contract: %s\n", what);
  std::abort();
}

}  // namespace

EchoDevice::~EchoDevice() {
  require(!active_, "an active device was destroyed");
}

void EchoDevice::read_config(uint32_t offset, MutableByteView out) const {
  std::lock_guard lock(mutex_);
  for (size_t i = 0; i < out.size(); ++i) out[i] = offset + i < config_.size() ? config_[offset + i] : 0;
}

void EchoDevice::write_config(uint32_t offset, ByteView bytes) {
  std::lock_guard lock(mutex_);
  for (size_t i = 0; i < bytes.size(); ++i)
    if (offset + i < config_.size()) config_[offset + i] = bytes[i];
}

Result<> EchoDevice::activate(Activation activation) {
  require(!active_, "activated twice");
  if (!thread_) thread_ = std::this_thread::get_id();
  require(*thread_ == std::this_thread::get_id(), "activated on another thread than before");
  require(activation.memory && activation.context, "memory and context are given");
  require(activation.queues.size() == kQueueSizes.size(), "one entry for each queue");
  constexpr uint64_t kOffered = kFeatures | kFeatureVersion1 | kFeatureIndirect | kFeatureEventIndex;
  require((activation.features & ~kOffered) == 0, "a feature that is not on offer");
  require((activation.features & kFeatureVersion1) != 0, "no legacy driver");
  for (size_t i = 0; i < activation.queues.size(); ++i) {
    if (!activation.queues[i]) continue;
    const uint16_t size = activation.queues[i]->queue.size();
    require(size > 0 && size <= kQueueSizes[i] && (size & (size - 1)) == 0, "a queue's size");
    require(activation.queues[i]->kick >= 0, "a descriptor for kicks");
  }
  ++activations_;
  active_ = true;
  if (fail_next_.exchange(false)) return fail(ErrorKind::io, "the test said so");
  activation_ = std::move(activation);
  for (size_t i = 0; reactor_ && i < activation_.queues.size(); ++i) {
    if (!activation_.queues[i]) continue;
    MSB_TRY(auto watch, reactor_->watch(activation_.queues[i]->kick, EPOLLIN, [this, i](uint32_t) { serve(i); }));
    watches_.push_back(std::move(watch));
  }
  return {};
}

void EchoDevice::reset() {
  require(!thread_ || *thread_ == std::this_thread::get_id(), "reset on another thread than activated");
  ++resets_;
  watches_.clear();
  activation_ = {};
  active_ = false;
  broken_ = false;
}

void EchoDevice::serve(size_t index) {
  ActiveQueue& active = *activation_.queues[index];
  eventfd_t count = 0;
  (void)::eventfd_read(active.kick, &count);
  auto drained = drain(static_cast<uint16_t>(index), active.queue);
  if (drained) return;
  watches_.clear();
  broken_ = true;
  activation_.context->broken(drained.error());
}

Result<> EchoDevice::drain(uint16_t index, Queue& queue) {
  bool more = true;
  while (more) {
    queue.disable_kicks();
    while (true) {
      MSB_TRY(auto chain, queue.pop());
      if (!chain) break;
      Bytes bytes(std::min<uint64_t>({chain->readable_bytes(), chain->writable_bytes(), uint64_t{1} << 20}));
      bytes.resize(chain->read(0, bytes));
      const uint32_t written = chain->write(0, bytes);
      MSB_CHECK(queue.complete(std::move(*chain), written));
      ++echoed_;
    }
    MSB_TRY(more, queue.enable_kicks());
  }
  MSB_TRY(const bool wanted, queue.wants_interrupt());
  if (wanted) activation_.context->interrupt(index);
  return {};
}

}  // namespace msb::virtio::testing
