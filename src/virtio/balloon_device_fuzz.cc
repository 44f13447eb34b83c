// A hostile driver at one of the small devices (the first byte says which): balloon, entropy. The balloon's host
// moves the target and asks for statistics. Whatever is released must be whole pages of guest memory.
#include "virtio/balloon_device.h"
#include "virtio/entropy_device.h"
#include "virtio/testing/hostile_driver.h"

namespace {

using namespace msb;
using namespace msb::virtio;

class CheckingReleaser final : public PageReleaser {
 public:
  explicit CheckingReleaser(const GuestMemory& memory) : memory_(memory) {}
  void release(GuestAddress address, uint64_t length) override {
    const auto pages = memory_.slice(address, length);
    if (!pages || length == 0 || to_number(address) % 4096 != 0 || length % 4096 != 0) std::abort();
    pages->front() = 0;
    pages->back() = 0;
  }

 private:
  const GuestMemory& memory_;
};

void fuzz_balloon(testing::DeviceRig& rig, ByteReader& input) {
  CheckingReleaser releaser(rig.ram().memory());
  BalloonDevice device(rig.reactor(), releaser, 64);
  testing::HostileDriver driver(rig, device, input, [&](ByteReader& choice) {
    const uint8_t what = choice.le<uint8_t>().value_or(0);
    if (what < 128)
      device.set_target(what);
    else
      device.request_stats(
          [&](const BalloonDevice::Stats& stats) { device.set_target(static_cast<uint32_t>(stats.available)); });
    if (device.target() > 64) std::abort();
  });
  driver.run();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteReader input({data, size});
  testing::DeviceRig rig(256 << 10);
  // Two of three parts to the one that has more to it.
  if (input.le<uint8_t>().value_or(0) % 3 < 2) {
    fuzz_balloon(rig, input);
  } else {
    EntropyDevice device(rig.reactor());
    testing::HostileDriver(rig, device, input, [](ByteReader&) {}).run();
  }
  return 0;
}
