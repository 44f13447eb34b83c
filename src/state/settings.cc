#include "state/settings.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/temp_dir.h"
#include "state/proxy_url.h"

namespace msb::state {
namespace {

constexpr size_t kLargest = size_t{4} << 20;

}  // namespace

std::string settings_file(const Home& home) {
  const char* given = std::getenv("MSB_CONFIG_PATH");
  return given != nullptr && *given != '\0' ? given : home.config();
}

Result<NetworkSettings> NetworkSettings::load(const std::string& path) {
  if (!path_exists(path)) return NetworkSettings{};
  auto text = read_file(path, kLargest);
  if (!text) return fail(std::move(text).error().as(ErrorKind::invalid_config).context("read the settings"));
  const auto json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  const auto wrong = [&](std::string_view what) { return fail(ErrorKind::invalid_config, cat(path, ": ", what)); };
  if (!json.is_object()) return wrong("the file must be a JSON object");
  NetworkSettings out;
  const auto network = json.find("network");
  if (network == json.end()) return out;
  if (!network->is_object()) return wrong("network must be an object");
  const auto proxy = network->find("proxy");
  if (proxy == network->end()) return out;
  if (!proxy->is_string()) return wrong("network.proxy must be a string");
  out.proxy = proxy->get<std::string>();
  MSB_CHECK_CTX(check_proxy(out.proxy), cat(path, ": network.proxy"));
  return out;
}

}  // namespace msb::state
