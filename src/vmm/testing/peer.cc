#include "vmm/testing/peer.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

namespace msb::vmm::testing {

Peer Peer::connect(const std::string& path) {
  Peer peer(Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  auto slash = path.rfind('/');
  auto directory = open_file(path.substr(0, slash), O_PATH | O_DIRECTORY);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string name = cat("/proc/self/fd/", directory->get(), path.substr(slash));
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  if (::connect(peer.fd(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) < 0) return Peer();
  uint8_t range[8];
  auto count = read_full(peer.fd(), range);
  if (!count || *count != sizeof(range)) return Peer();
  peer.first_ = load_be<uint32_t>(range);
  peer.end_ = load_be<uint32_t>(range + 4);
  return peer;
}

std::optional<ReceivedFrame> Peer::receive() {
  while (true) {
    auto frame = reader_.next();
    if (!frame) return std::nullopt;
    if (*frame) {
      auto envelope = wire::open_envelope((*frame)->body);
      if (!envelope) return std::nullopt;
      return ReceivedFrame{(*frame)->id, (*frame)->flags, std::string(envelope->type),
                           Bytes(envelope->payload.begin(), envelope->payload.end())};
    }
    auto count = read_some(socket_.get(), reader_.prepare());
    if (!count || *count == 0) return std::nullopt;
    reader_.commit(*count);
  }
}

}  // namespace msb::vmm::testing
