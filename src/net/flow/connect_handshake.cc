#include <algorithm>
#include <cctype>

#include "base/base64.h"
#include "net/flow/proxy_handshake.h"

namespace msb::net {
namespace {

// "HTTP/1.1 200": as much of the status line as matters. 'd' stands for a digit.
constexpr std::string_view kStatusLine = "HTTP/1.d ddd";
constexpr size_t kStatus = 9;

bool fits(char c, char wanted) {
  return wanted == 'd' ? c >= '0' && c <= '9' : c == wanted;
}

}  // namespace

ConnectHandshake::ConnectHandshake(const state::ProxyUrl& proxy, const Endpoint& destination) {
  const std::string to = destination.to_string();
  std::string request = cat("CONNECT ", to, " HTTP/1.1\r\nHost: ", to, "\r\n");
  if (proxy.login) {
    const std::string pair = cat(proxy.login->username, ":", proxy.login->password);
    request += cat("Proxy-Authorization: Basic ", base64_encode(pair), "\r\n");
  }
  say(as_bytes(request + "\r\n"));
}

Result<> ConnectHandshake::take(uint8_t byte) {
  const char c = static_cast<char>(byte);
  if (first_ && status_line_.size() < kStatusLine.size()) {
    // At once: what speaks another protocol may wait for us.
    if (!fits(c, kStatusLine[status_line_.size()])) return fail(ErrorKind::protocol, "does not speak HTTP");
    status_line_.push_back(c);
    return {};
  }
  if (c != '\n') {
    if (c != '\r') ++line_;
    return {};
  }
  if (std::exchange(first_, false)) {
    line_ = 0;
    return judge_status();
  }
  if (std::exchange(line_, 0) == 0) finish();
  return {};
}

Result<> ConnectHandshake::judge_status() {
  const std::string status = status_line_.substr(kStatus);
  if (status[0] == '2') return {};
  if (status == "407") return fail(ErrorKind::permission_denied, "wants another user or password");
  const auto told = [&](int errnum) { return fail_errno(cat("the proxy answers with ", status), errnum); };
  if (status == "403") return told(EACCES);
  if (status == "504") return told(ETIMEDOUT);
  return told(ECONNREFUSED);
}

}  // namespace msb::net
