// ProxyHandshake: what is said with a proxy until a connection is the destination's. Bytes in, bytes out; no sockets.
//
//   auto handshake = ProxyHandshake::create(proxy, destination);
//   send(handshake->take_output());
//   MSB_TRY(size_t own, handshake->receive(bytes));   // the rest of `bytes` is the destination's already
//   ... until handshake->done()
//
// The proxy is asked for an address, never for a name: for the one that was judged. Nobody resolves it anew.
//
// What the proxy says is foreign: at most kLongestReply bytes of it are read, and none after the reply's last. An error
// with an errno is about the destination, as connect() would have said it; one without is about the proxy.
#pragma once

#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "net/address.h"
#include "state/proxy_url.h"

namespace msb::net {

class ProxyHandshake {
 public:
  static constexpr size_t kLongestReply = 16 << 10;

  static std::unique_ptr<ProxyHandshake> create(const state::ProxyUrl& proxy, const Endpoint& destination);
  virtual ~ProxyHandshake() = default;

  // What is to be sent now; gone from here then.
  Bytes take_output() { return std::exchange(output_, {}); }
  // Returns how many of the bytes were the proxy's own: all of them, until it is done.
  Result<size_t> receive(ByteView bytes);
  bool done() const { return done_; }

 protected:
  // The next byte.
  virtual Result<> take(uint8_t byte) = 0;
  void say(ByteView bytes) { output_.insert(output_.end(), bytes.begin(), bytes.end()); }
  void finish() { done_ = true; }

 private:
  Bytes output_;
  size_t received_ = 0;
  bool done_ = false;
};

// CONNECT of HTTP/1.1 (RFC 9110, 9.3.6), with Basic authentication.
class ConnectHandshake final : public ProxyHandshake {
 public:
  ConnectHandshake(const state::ProxyUrl& proxy, const Endpoint& destination);

 private:
  Result<> take(uint8_t byte) override;
  Result<> judge_status();

  std::string status_line_;
  size_t line_ = 0;  // bytes of the current one, without its end
  bool first_ = true;
};

// SOCKS 5 (RFC 1928), with user and password (RFC 1929).
class Socks5Handshake final : public ProxyHandshake {
 public:
  Socks5Handshake(const state::ProxyUrl& proxy, const Endpoint& destination);

 private:
  enum class Step { method, login, head, address, rest };
  Result<> take(uint8_t byte) override;
  Result<> on_method();
  Result<> on_head();
  void ask();
  void expect(Step step, size_t bytes);

  std::optional<state::ProxyUrl::Login> login_;
  Endpoint destination_;
  Step step_ = Step::method;
  size_t wanted_ = 0;
  Bytes have_;
};

}  // namespace msb::net
