#include "net/flow/proxy_handshake.h"

namespace msb::net {
namespace {

constexpr uint8_t kVersion = 5;
constexpr uint8_t kLoginVersion = 1;
constexpr uint8_t kNoLogin = 0, kLogin = 2;
constexpr uint8_t kConnect = 1;
constexpr uint8_t kV4 = 1, kName = 3, kV6 = 4;
constexpr size_t kPort = 2;

// RFC 1928, 6.
tl::unexpected<Error> refused(uint8_t reply) {
  const auto told = [&](int errnum) { return fail_errno(cat("the proxy answers with ", int{reply}), errnum); };
  switch (reply) {
    case 1:  // a general failure
    case 5:
      return told(ECONNREFUSED);
    case 2:
      return told(EACCES);
    case 3:
      return told(ENETUNREACH);
    case 4:
    case 6:  // TTL expired
      return told(EHOSTUNREACH);
    case 8:  // an address of this family
      return told(EAFNOSUPPORT);
    default:
      return fail(ErrorKind::protocol, cat("does not connect: it answers with ", int{reply}));
  }
}

}  // namespace

Socks5Handshake::Socks5Handshake(const state::ProxyUrl& proxy, const Endpoint& destination)
    : login_(proxy.login), destination_(destination) {
  if (login_)
    say(Bytes{kVersion, 2, kNoLogin, kLogin});
  else
    say(Bytes{kVersion, 1, kNoLogin});
  expect(Step::method, 2);
}

void Socks5Handshake::expect(Step step, size_t bytes) {
  step_ = step;
  wanted_ = bytes;
  have_.clear();
}

Result<> Socks5Handshake::take(uint8_t byte) {
  have_.push_back(byte);
  if ((step_ == Step::method || step_ == Step::head) && have_[0] != kVersion)
    return fail(ErrorKind::protocol, "does not speak SOCKS 5");
  // A refusal is one at once: some proxies say no more than that.
  if (step_ == Step::head && have_.size() == 2 && have_[1] != 0) return refused(have_[1]);
  if (have_.size() < wanted_) return {};
  switch (step_) {
    case Step::method:
      return on_method();
    case Step::login:
      if (have_[1] != 0) return fail(ErrorKind::permission_denied, "wants another user or password");
      ask();
      return {};
    case Step::head:
      return on_head();
    case Step::address:  // a name's length
      expect(Step::rest, have_[0] + kPort);
      return {};
    case Step::rest:
      finish();
      return {};
  }
  return {};
}

Result<> Socks5Handshake::on_method() {
  const uint8_t method = have_[1];
  if (method == kNoLogin) {
    ask();
    return {};
  }
  if (method != kLogin || !login_)
    return fail(ErrorKind::permission_denied,
                login_ ? "takes neither our login nor none" : "wants a user and password");
  Bytes login{kLoginVersion};
  for (const std::string& word : {login_->username, login_->password}) {
    login.push_back(static_cast<uint8_t>(word.size()));  // ProxyUrl bounds it
    login.insert(login.end(), word.begin(), word.end());
  }
  say(login);
  expect(Step::login, 2);
  return {};
}

void Socks5Handshake::ask() {
  Bytes request{kVersion, kConnect, 0, destination_.ip.is_v4() ? kV4 : kV6};
  const ByteView address = destination_.ip.bytes();
  request.insert(request.end(), address.begin(), address.end());
  request.push_back(static_cast<uint8_t>(destination_.port >> 8));
  request.push_back(static_cast<uint8_t>(destination_.port));
  say(request);
  // Version, reply, nothing, and what kind of address follows: that of the proxy's own end, of which we want nothing.
  expect(Step::head, 4);
}

Result<> Socks5Handshake::on_head() {
  switch (have_[3]) {
    case kV4:
      expect(Step::rest, 4 + kPort);
      return {};
    case kV6:
      expect(Step::rest, 16 + kPort);
      return {};
    case kName:
      expect(Step::address, 1);
      return {};
    default:
      return fail(ErrorKind::protocol, "does not speak SOCKS 5");
  }
}

}  // namespace msb::net
