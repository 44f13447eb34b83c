// A hostile driver at the network card, and a cable that brings frames, takes some, and is cut meanwhile.
#include <sys/socket.h>

#include <array>

#include "virtio/net_device.h"
#include "virtio/testing/hostile_driver.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace msb;
  using namespace msb::virtio;
  ByteReader input({data, size});
  testing::DeviceRig rig(256 << 10);
  SocketPair pair = make_socket_pair(SocketKind::messages).value();
  NetDevice::Settings settings;
  settings.cable = std::move(pair.first);
  auto device = NetDevice::create(rig.reactor(), std::move(settings)).value();
  Fd cable = std::move(pair.second);
  std::array<uint8_t, 70000> buffer{};
  testing::HostileDriver driver(rig, *device, input, [&](ByteReader& choice) {
    const uint8_t what = choice.le<uint8_t>().value_or(0);
    if (what == 255) {
      cable.reset();
    } else if (cable && what >= 128) {
      (void)::recv(cable.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    } else if (cable) {
      (void)::send(cable.get(), buffer.data(), what * 520, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
  });
  driver.run();
  return 0;
}
