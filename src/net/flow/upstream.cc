#include "net/flow/upstream.h"

#include <algorithm>

namespace msb::net {

bool Upstream::is_direct(const Ip& remote) const {
  if (!proxy_ || std::ranges::find(gateways_, remote) != gateways_.end()) return true;
  return proxy_->exceptions.has(remote, pins_);
}

std::unique_ptr<Attempt> Upstream::dial(const Endpoint& remote, Dial::Done done) {
  if (is_direct(remote.ip)) return Dial::start(reactor_, dial_targets(remote, gateways_), std::move(done));
  return ProxyDial::start(reactor_, *proxy_, remote, [this, done = std::move(done)](Result<Fd> socket) {
    if (!socket && socket.error().errnum() == 0) tell(socket.error());
    done(std::move(socket));
  });
}

void Upstream::tell(const Error& trouble) {
  const auto now = Clock::now();
  if (told_ && now - *told_ < kTroubleInterval) return;
  told_ = now;
  on_trouble_(trouble);
}

}  // namespace msb::net
