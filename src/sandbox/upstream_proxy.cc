#include "sandbox/upstream_proxy.h"

#include <netdb.h>

#include <algorithm>

#include "base/cleanup.h"
#include "net/address.h"
#include "state/proxy_url.h"

namespace msb {
namespace {

struct Found {
  std::string text;
  std::string source;  // for errors
};

Found in_environment(const Environment& environment, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const char* value = environment(name); value != nullptr && *value != '\0') return {value, name};
  return {};
}

Found look(const std::string& wish, const state::NetworkSettings& settings, const Environment& environment) {
  if (!wish.empty()) return {wish, "the sandbox's proxy"};
  if (!settings.proxy.empty()) return {settings.proxy, "network.proxy of config.json"};
  return in_environment(environment, {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"});
}

// As the host resolves it; may ask the network.
std::vector<std::string> addresses_of(const std::string& host) {
  std::vector<std::string> out;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &list) != 0) return out;
  const Cleanup free_list([&] { ::freeaddrinfo(list); });
  for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
    sockaddr_storage address{};
    std::copy_n(reinterpret_cast<const char*>(each->ai_addr), each->ai_addrlen, reinterpret_cast<char*>(&address));
    const std::string text = net::to_endpoint(address).ip.to_string();
    if (std::ranges::find(out, text) == out.end()) out.push_back(text);
  }
  return out;
}

}  // namespace

Result<std::optional<state::ProxySpec>> find_proxy(const std::string& wish, const state::NetworkSettings& settings,
                                                   const Environment& environment) {
  const Found found = look(wish, settings, environment);
  if (found.text.empty() || found.text == state::kNoProxy) return std::nullopt;
  auto url = state::ProxyUrl::parse(found.text);
  if (!url)
    return fail(std::move(url).error().context(found.source).hint("--net-proxy none starts a sandbox without a proxy"));
  return state::ProxySpec{.url = found.text,
                          .addresses = addresses_of(url->host),
                          .exceptions = in_environment(environment, {"no_proxy", "NO_PROXY"}).text};
}

}  // namespace msb
