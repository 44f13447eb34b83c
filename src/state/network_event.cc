#include "state/network_event.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace msb::state {
namespace {

constexpr std::array<std::string_view, 4> kProtocols{"tcp", "udp", "icmpv4", "icmpv6"};

}  // namespace

std::string format_network_event(const NetworkEvent& event) {
  nlohmann::ordered_json json;
  json["time_ms"] = event.timestamp_ms;
  if (event.missing_bytes != 0) {
    json["missing_bytes"] = event.missing_bytes;
  } else if (!event.error.empty()) {
    json["error"] = event.error;
  } else {
    json["direction"] = event.direction == NetworkDirection::ingress ? "ingress" : "egress";
    if (event.protocol) json["protocol"] = kProtocols[static_cast<size_t>(*event.protocol)];
    if (!event.address.empty()) json["address"] = event.address;
    if (event.port != 0) json["port"] = event.port;
    if (event.guest_port) json["guest_port"] = *event.guest_port;
    if (!event.name.empty()) json["name"] = event.name;
    json["rule"] = event.rule;
  }
  return json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + "\n";
}

std::optional<NetworkEvent> parse_network_event(std::string_view line) try {
  const auto json = nlohmann::json::parse(line);
  NetworkEvent event;
  event.timestamp_ms = json.at("time_ms").get<int64_t>();
  event.missing_bytes = json.value("missing_bytes", uint64_t{0});
  event.error = json.value("error", std::string());
  if (event.missing_bytes != 0 || !event.error.empty()) return event;
  if (json.at("direction").get<std::string>() == "ingress") event.direction = NetworkDirection::ingress;
  const auto protocol = std::ranges::find(kProtocols, json.value("protocol", std::string()));
  if (protocol != kProtocols.end()) event.protocol = static_cast<NetworkProtocol>(protocol - kProtocols.begin());
  event.address = json.value("address", std::string());
  event.port = json.value("port", uint16_t{0});
  if (json.contains("guest_port")) event.guest_port = json["guest_port"].get<uint16_t>();
  event.name = json.value("name", std::string());
  event.rule = json.at("rule").get<std::string>();
  return event;
} catch (const std::exception&) {
  return std::nullopt;
}

}  // namespace msb::state
