#include "virtio/pmem_device.h"

#include <array>

#include "virtio/config_space.h"

namespace msb::virtio {
namespace {

constexpr uint16_t kQueueSizes[] = {16};

// struct virtio_pmem_req and _resp: one little-endian number each (5.19.6).
constexpr uint32_t kFlush = 0;
constexpr uint32_t kDone = 0;
constexpr uint32_t kFailed = 0xffffffff;

}  // namespace

std::span<const uint16_t> PmemDevice::queue_sizes() const {
  return kQueueSizes;
}

void PmemDevice::read_config(uint32_t offset, MutableByteView out) const {
  std::array<uint8_t, 16> config;
  store_le<uint64_t>(&config[0], range_.start);
  store_le<uint64_t>(&config[8], range_.size);
  copy_config(config, offset, out);
}

Result<> PmemDevice::activate(Activation activation) {
  activation.queues.resize(1);
  MSB_TRY(requests_, ServedQueue::create(reactor_, *activation.context, 0, std::move(activation.queues[0]),
                                         {.request = [this](Chain chain) { return answer(std::move(chain)); },
                                          .broken =
                                              [this, context = activation.context](const Error& what) {
                                                reset();
                                                context->broken(what);
                                              }}));
  return {};
}

Result<> PmemDevice::answer(Chain chain) {
  std::array<uint8_t, 4> type;
  std::array<uint8_t, 4> answer;
  if (chain.read(0, type) != type.size() || chain.writable_bytes() < answer.size())
    return fail(ErrorKind::protocol, "a pmem request without room for type or answer");
  store_le<uint32_t>(answer.data(), load_le<uint32_t>(type.data()) == kFlush ? kDone : kFailed);
  const uint32_t written = chain.write(0, answer);
  return requests_->complete(std::move(chain), written);
}

}  // namespace msb::virtio
