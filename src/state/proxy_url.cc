#include "state/proxy_url.h"

#include <algorithm>
#include <charconv>

namespace msb::state {
namespace {

constexpr size_t kLongest = 2048;
// What SOCKS has room for (RFC 1929, 2).
constexpr size_t kLongestLogin = 255;

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      out.push_back(text[at]);
      continue;
    }
    uint8_t byte = 0;
    const std::string_view digits = text.substr(at + 1, 2);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (digits.size() != 2 || error != std::errc() || end != digits.data() + 2) return std::nullopt;
    out.push_back(static_cast<char>(byte));
    at += 2;
  }
  return out;
}

bool is_host(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](unsigned char c) { return std::isalnum(c) || c == '.' || c == '-' || c == '_'; });
}
bool is_v6(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](unsigned char c) { return std::isxdigit(c) || c == ':' || c == '.'; });
}

using WhyNot = tl::unexpected<std::string_view>;

// The proxy, or why it is none.
tl::expected<ProxyUrl, std::string_view> take_apart(std::string_view text) {
  if (text.size() > kLongest) return WhyNot("it is too long");
  if (std::ranges::any_of(text, [](unsigned char c) { return c <= ' ' || c == 0x7f; }))
    return WhyNot("it has spaces or control characters; write them as %XX");
  ProxyUrl out{.scheme = "http", .host = {}, .login = {}};
  if (const size_t end = text.find("://"); end != std::string_view::npos) {
    out.scheme = text.substr(0, end);
    std::ranges::transform(out.scheme, out.scheme.begin(), [](unsigned char c) { return std::tolower(c); });
    text.remove_prefix(end + 3);
  }
  if (out.scheme == "https") return WhyNot("TLS to the proxy itself is not supported");
  if (out.scheme != "http" && out.scheme != "socks5" && out.scheme != "socks5h")
    return WhyNot("only http://, socks5:// and socks5h:// are spoken");
  if (text.ends_with('/')) text.remove_suffix(1);
  if (const size_t at = text.rfind('@'); at != std::string_view::npos) {
    const std::string_view pair = text.substr(0, at);
    const size_t colon = std::min(pair.find(':'), pair.size());
    auto username = percent_decode(pair.substr(0, colon));
    auto password = percent_decode(pair.substr(std::min(colon + 1, pair.size())));
    if (!username || !password) return WhyNot("a % in its user or password is not followed by two hex digits");
    if (username->size() > kLongestLogin || password->size() > kLongestLogin)
      return WhyNot("its user or password is longer than 255 bytes");
    if (out.scheme == "http" && username->find(':') != std::string::npos) return WhyNot("HTTP has no users with a ':'");
    if (!username->empty()) out.login = {std::move(*username), std::move(*password)};
    text.remove_prefix(at + 1);
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || text.ends_with(']')) return WhyNot("it has no port");
  const std::string_view digits = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
  if (error != std::errc() || end != digits.data() + digits.size() || out.port == 0)
    return WhyNot("its port is no number from 1 to 65535");
  std::string_view host = text.substr(0, colon);
  const bool brackets = host.starts_with('[') && host.ends_with(']');
  if (brackets) host = host.substr(1, host.size() - 2);
  if (!(brackets ? is_v6(host) : is_host(host))) return WhyNot("its host is neither a name nor an address");
  out.host = host;
  return out;
}

}  // namespace

Result<ProxyUrl> ProxyUrl::parse(std::string_view text) {
  auto parsed = take_apart(text);
  if (!parsed)
    return fail(Error(ErrorKind::invalid_config, cat("'", shown_proxy(text), "' is no proxy: ", parsed.error()))
                    .hint("http://[USER:PASSWORD@]HOST:PORT, socks5://[USER:PASSWORD@]HOST:PORT, or none"));
  return std::move(*parsed);
}

std::string ProxyUrl::shown() const {
  const bool v6 = host.find(':') != std::string::npos;
  // What was %XX stays unread: nothing of it gets into a terminal.
  const auto user = [](const std::string& name) { return is_host(name) ? name : "***"; };
  return cat(scheme, "://", login ? user(login->username) + ":***@" : "", v6 ? "[" : "", host, v6 ? "]" : "", ":",
             port);
}

Result<> check_proxy(const std::string& wish) {
  if (!wish.empty() && wish != kNoProxy) MSB_CHECK(ProxyUrl::parse(wish));
  return {};
}

std::string shown_proxy(std::string_view text) {
  if (text.empty() || text == kNoProxy) return std::string(text);
  if (const auto parsed = take_apart(text)) return parsed->shown();
  const size_t at = text.rfind('@');
  if (at == std::string_view::npos) return std::string(text.substr(0, kLongest));
  const size_t scheme = text.find("://");
  return cat(scheme < at ? text.substr(0, scheme + 3) : "", "***", text.substr(at));
}

}  // namespace msb::state
