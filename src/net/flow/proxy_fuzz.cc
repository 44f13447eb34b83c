// What a proxy may say: the first byte picks the proxy, the rest is its reply. In one piece or byte by byte the same is
// taken and the outcome is the same, and nothing is taken when it is over. What NO_PROXY and a URL may say as well.
#include <cstdlib>

#include "net/flow/proxy_exceptions.h"
#include "net/flow/proxy_handshake.h"

namespace {

using namespace msb;

struct Outcome {
  size_t taken = 0;
  bool done = false;
  bool failed = false;
  size_t said = 0;
  bool operator==(const Outcome&) const = default;
};

Outcome converse(const state::ProxyUrl& proxy, ByteView reply, size_t piece) {
  auto handshake = net::ProxyHandshake::create(proxy, {net::Ip::v4(1, 2, 3, 4), 443});
  Outcome out;
  while (!out.failed && out.taken < reply.size() && !handshake->done()) {
    const ByteView next = reply.subspan(out.taken).first(std::min(piece, reply.size() - out.taken));
    const auto taken = handshake->receive(next);
    out.failed = !taken;
    if (taken && (*taken == 0 || *taken > next.size() || (*taken < next.size() && !handshake->done()))) std::abort();
    out.taken += taken.value_or(0);
    out.said += handshake->take_output().size();
  }
  out.done = handshake->done();
  if (out.done && handshake->receive(reply).value_or(1) != 0) std::abort();
  if (out.failed) out.taken = 0;  // how far it came before depends on the pieces
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  constexpr const char* kProxies[] = {"http://u:p@proxy:1", "socks5://proxy:1", "socks5://u:p@proxy:1"};
  const auto proxy = state::ProxyUrl::parse(kProxies[data[0] % 3]).value();
  const ByteView reply(data + 1, size - 1);
  const Outcome whole = converse(proxy, reply, size);
  const Outcome bytes = converse(proxy, reply, 1);
  if (whole != bytes || (whole.done && whole.taken > net::ProxyHandshake::kLongestReply)) std::abort();

  const std::string_view text = as_text(reply);
  if (const auto parsed = state::ProxyUrl::parse(text); parsed && !state::ProxyUrl::parse(parsed->shown()))
    std::abort();
  (void)state::shown_proxy(text);
  (void)net::ProxyExceptions::parse(text);
  return 0;
}
