#include "virtio/entropy_device.h"

#include <sys/random.h>

#include <algorithm>
#include <array>

namespace msb::virtio {
namespace {

// The driver has one request under way; a few more for others.
constexpr uint16_t kQueueSizes[] = {8};

}  // namespace

std::span<const uint16_t> EntropyDevice::queue_sizes() const {
  return kQueueSizes;
}

void EntropyDevice::read_config(uint32_t, MutableByteView out) const {
  std::ranges::fill(out, 0);  // there is none
}

Result<> EntropyDevice::activate(Activation activation) {
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

Result<> EntropyDevice::answer(Chain chain) {
  std::array<uint8_t, kMaxBytes> bytes;
  const size_t wanted = std::min<uint64_t>(chain.writable_bytes(), bytes.size());
  // 5.4.6.1: the driver must not offer readable buffers, and needs at least one byte.
  if (wanted == 0) return fail(ErrorKind::protocol, "a request for entropy without room for any");
  if (::getrandom(bytes.data(), wanted, 0) != static_cast<ssize_t>(wanted)) return fail_errno("ask for random bytes");
  const uint32_t written = chain.write(0, ByteView(bytes.data(), wanted));
  return requests_->complete(std::move(chain), written);
}

}  // namespace msb::virtio
