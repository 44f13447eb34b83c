// A hostile vhost-user front end: any bytes on the socket, with a memory file or an event beside them, before or after
// an orderly beginning.
#include <sys/eventfd.h>

#include "virtio/testing/echo_device.h"
#include "virtio/testing/vhost_user_front_end.h"
#include "virtio/vhost_user_backend.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace msb;
  using namespace msb::virtio;
  enum Flags : uint8_t { with_memory = 1, with_event = 2, set_up_first = 4 };

  auto reactor = Reactor::create().value();
  testing::EchoDevice device(reactor.get());
  auto pair = make_socket_pair().value();
  testing::VhostUserFrontEnd front(std::move(pair.first), {8, 8});
  bool ended = false;
  auto backend = VhostUserBackend::create(*reactor, std::move(pair.second), device, {.ended = [&](const Error&) {
                   ended = true;
                 }}).value();
  Fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));

  ByteReader input({data, size});
  for (int sent = 0; sent < 64 && !ended; ++sent) {
    auto flags = input.le<uint8_t>(), length = input.le<uint8_t>();
    if (!flags || !length) break;
    if (*flags & set_up_first && sent == 0) front.set_up(testing::RingBuilder::kAllFeatures);
    auto bytes = input.take(std::min<size_t>(*length, input.remaining()));
    if (bytes->empty()) continue;
    std::vector<int> fds;
    if (*flags & with_memory) fds.push_back(front.memory_file());
    if (*flags & with_event) fds.push_back(event.get());
    front.send_raw(*bytes, fds);
    if (!reactor->run_once()) break;
  }
  return 0;
}
