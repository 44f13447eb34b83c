// Any sequence of reads and writes at the registers of a device. EchoDevice ends the program when the transport breaks
// the life cycle it promises devices; here the registers themselves are checked after each step.
#include <sys/eventfd.h>

#include <algorithm>
#include <cstdlib>

#include "virtio/testing/device_thread.h"
#include "virtio/testing/echo_device.h"
#include "virtio/testing/mmio_driver.h"

namespace {

using namespace msb;
using namespace msb::virtio;
using namespace msb::virtio::testing;

void require(bool condition) {
  if (!condition) std::abort();
}

void check(const EchoDevice& device, MmioDriver& driver, const TransportState& state) {
  const uint32_t now = driver.status();
  require((now & ~status::kNeedsReset) == state.status);
  // Each step with the one before it.
  require(!(now & status::kDriver) || (now & status::kAcknowledge));
  require(!(now & status::kFeaturesOk) || (now & status::kDriver));
  require(!(now & status::kDriverOk) || (now & status::kFeaturesOk));
  require(!(now & status::kNeedsReset) || (now & status::kDriverOk));
  if (now & status::kFeaturesOk) {
    require((state.driver_features & kFeatureVersion1) != 0);
    require((state.driver_features & ~driver.device_features()) == 0);
    driver.write(MmioDriver::kDeviceFeaturesSelect, state.device_features_select);
  }
  if (device.is_active()) require((now & status::kDriverOk) != 0);
  if (now == 0) require(!device.is_active() && driver.read(MmioDriver::kInterruptStatus) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // One device thread for all inputs: a thread an input would be all the fuzzer does.
  static DeviceThread thread;
  GuestRam ram(uint64_t{64} << 10);
  RingBuilder ring(ram, 8);
  Fd interrupt(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  EchoDevice device(&thread.reactor());
  auto transport = MmioTransport::create(device, {.memory = &ram.memory(),
                                                  .device_thread = &thread.mailbox(),
                                                  .interrupt = [&] { ::eventfd_write(interrupt.get(), 1); }})
                       .value();
  MmioDriver driver(*transport);

  ByteReader reader({data, size});
  for (int step = 0; step < 400 && reader.remaining() > 0; ++step) {
    const uint8_t what = *reader.le<uint8_t>();
    const uint32_t value = reader.le<uint32_t>().value_or(what);
    switch (what >> 5) {
      case 0:
        driver.write(uint64_t{what & 31u} * 4, value);
        break;  // one register
      case 1:
        driver.write(0x80 + uint64_t{what & 31u} * 4, value);
        break;  // one of the higher ones
      case 2:
        driver.add_status(1u << (what & 7));
        break;  // the next step, or another
      case 3:
        (void)driver.negotiate(kFeatureVersion1 | (value & 0xf0000000u));
        break;
      case 4:
        driver.write_queue(what & 3, ring.layout());
        break;  // a good queue
      case 5:
        (void)driver.start(RingBuilder::kAllFeatures, {&ring});
        break;
      case 6: {  // any width anywhere, beyond the window too
        Bytes bytes(what & 15, static_cast<uint8_t>(value));
        transport->write(value % (kMmioWindow + 16), bytes);
        Bytes back(what & 15, 0xaa);
        transport->read((value >> 16) % (kMmioWindow + 16), back);
        break;
      }
      default:  // what the rings hold, while the device may be at work
        ram.put(GuestAddress{GuestRam::kBase + value % (32 << 10)}, Bytes(4, static_cast<uint8_t>(value >> 24)));
        driver.kick(what & 3);
    }
    if (step % 8 == 0) check(device, driver, transport->state());
  }
  check(device, driver, transport->state());
  thread.run([&] { transport.reset(); });
  require(!device.is_active());
  return 0;
}
