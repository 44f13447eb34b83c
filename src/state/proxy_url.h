// ProxyUrl: a proxy through which this host reaches the world, as HTTPS_PROXY and --net-proxy name it.
//
//   MSB_TRY(auto proxy, ProxyUrl::parse("http://me:p%40ss@proxy.lan:3128"));
//   proxy.login->password    // "p@ss"
//   proxy.shown()            // "http://me:***@proxy.lan:3128"
//
// What is shown to anybody (errors, logs, inspect) is shown() or shown_proxy(), which have no password.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace msb::state {

struct ProxyUrl {
  enum class Kind { http, socks5 };
  struct Login {
    std::string username;
    std::string password;
  };
  std::string scheme;  // "http", "socks5", "socks5h"
  std::string host;    // a name, or an address without brackets
  uint16_t port = 0;
  std::optional<Login> login;

  // "http://[USER[:PASSWORD]@]HOST:PORT", "socks5://...", "socks5h://...", or HOST:PORT alone, which is http. User and
  // password may have %XX. invalid_config, without the password.
  static Result<ProxyUrl> parse(std::string_view text);
  Kind kind() const { return scheme == "http" ? Kind::http : Kind::socks5; }
  std::string shown() const;
};

// Never a proxy, whatever the host has.
inline constexpr std::string_view kNoProxy = "none";

// Empty (what the host has), kNoProxy or a ProxyUrl.
Result<> check_proxy(const std::string& wish);
// The same without its password; of what is no proxy, too.
std::string shown_proxy(std::string_view text);

}  // namespace msb::state
