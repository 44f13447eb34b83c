// One line of logs/network.log, a JSON object of what there is of a NetworkEvent:
//
//   {"time_ms":1732222222222,"direction":"egress","protocol":"tcp","address":"10.0.0.1","port":22,"name":"x.example",
//    "rule":"deny@private"}
//   {"time_ms":1732222222223,"error":"the proxy http://proxy:3128 cannot be reached: ..."}
//   {"time_ms":1732222222224,"missing_bytes":4096}
//
// Both sides are here so that they agree. A name is the guest's bytes: one event is always one line of ASCII.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <microsandbox/network.h>

namespace msb::state {

// With the newline.
std::string format_network_event(const NetworkEvent& event);
// Without the newline; nullopt for a line that is none of ours.
std::optional<NetworkEvent> parse_network_event(std::string_view line);

}  // namespace msb::state
