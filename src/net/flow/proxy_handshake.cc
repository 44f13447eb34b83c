#include "net/flow/proxy_handshake.h"

namespace msb::net {

std::unique_ptr<ProxyHandshake> ProxyHandshake::create(const state::ProxyUrl& proxy, const Endpoint& destination) {
  if (proxy.kind() == state::ProxyUrl::Kind::http) return std::make_unique<ConnectHandshake>(proxy, destination);
  return std::make_unique<Socks5Handshake>(proxy, destination);
}

Result<size_t> ProxyHandshake::receive(ByteView bytes) {
  size_t taken = 0;
  while (!done_ && taken < bytes.size()) {
    if (++received_ > kLongestReply) return fail(ErrorKind::protocol, "answers without end");
    MSB_CHECK(take(bytes[taken++]));
  }
  return taken;
}

}  // namespace msb::net
