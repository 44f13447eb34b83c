// A hostile driver at the console, and a host that writes, reads and goes away meanwhile.
#include <sys/socket.h>

#include <array>

#include "virtio/console_device.h"
#include "virtio/testing/hostile_driver.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace msb;
  using namespace msb::virtio;
  ByteReader input({data, size});
  testing::DeviceRig rig(256 << 10);
  auto pair = make_socket_pair().value();
  ConsoleDevice::Settings settings("agent", std::move(pair.first));
  settings.port = input.le<uint8_t>().value_or(0) % 2;
  auto device = ConsoleDevice::create(rig.reactor(), std::move(settings)).value();
  Fd host = std::move(pair.second);
  std::array<uint8_t, 4096> buffer{};
  testing::HostileDriver driver(rig, *device, input, [&](ByteReader& choice) {
    const uint8_t what = choice.le<uint8_t>().value_or(0);
    if (what == 255) {
      host.reset();
    } else if (host && what >= 128) {
      (void)::recv(host.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    } else if (host) {
      (void)::send(host.get(), buffer.data(), what * 32, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
  });
  driver.run();
  return 0;
}
