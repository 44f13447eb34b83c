#include "vmm/network_log.h"

#include <nlohmann/json.hpp>

#include "state/sandboxes.h"

namespace msb::vmm {
namespace {

std::string_view name_of(NetworkProtocol protocol) {
  switch (protocol) {
    case NetworkProtocol::tcp:
      return "tcp";
    case NetworkProtocol::udp:
      return "udp";
    case NetworkProtocol::icmpv4:
      return "icmpv4";
    case NetworkProtocol::icmpv6:
      return "icmpv6";
  }
  return "";
}

}  // namespace

std::string to_json(const net::DenialEvent& event, int64_t time_ms) {
  nlohmann::ordered_json json;
  json["time_ms"] = time_ms;
  json["direction"] = event.direction == NetworkDirection::ingress ? "ingress" : "egress";
  if (event.protocol) json["protocol"] = name_of(*event.protocol);
  if (event.remote) {
    json["address"] = event.remote->ip.to_string();
    if (event.remote->port != 0) json["port"] = event.remote->port;
  }
  if (event.guest_port) json["guest_port"] = *event.guest_port;
  if (!event.name.empty()) json["name"] = event.name;
  json["rule"] = event.rule;
  // A name is the guest's bytes.
  return json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

void NetworkLog::denied(const net::DenialEvent& event) {
  const int64_t now = state::now_ms();
  write(to_json(event, now) + "\n", now);
}

void NetworkLog::trouble(const Error& what) {
  const int64_t now = state::now_ms();
  const nlohmann::ordered_json json = {{"time_ms", now}, {"error", what.message()}};
  write(json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + "\n", now);
}

void NetworkLog::write(const std::string& line, int64_t time_ms) {
  if (!budget_.take(line.size())) return;
  if (const uint64_t missing = budget_.take_refused())
    writer_.write_line(cat("{\"time_ms\":", time_ms, ",\"missing_bytes\":", missing, "}\n"));
  writer_.write_line(line);
}

}  // namespace msb::vmm
