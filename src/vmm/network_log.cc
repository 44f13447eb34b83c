#include "vmm/network_log.h"

#include "state/network_event.h"
#include "state/sandboxes.h"

namespace msb::vmm {
namespace {

NetworkEvent event_of(const net::DenialEvent& denial, int64_t now_ms) {
  NetworkEvent event{.timestamp_ms = now_ms,
                     .direction = denial.direction,
                     .protocol = denial.protocol,
                     .guest_port = denial.guest_port,
                     .name = denial.name,
                     .rule = denial.rule};
  if (denial.remote) {
    event.address = denial.remote->ip.to_string();
    event.port = denial.remote->port;
  }
  return event;
}

}  // namespace

void NetworkLog::denied(const net::DenialEvent& event) {
  write(event_of(event, state::now_ms()));
}

void NetworkLog::trouble(const Error& what) {
  write({.timestamp_ms = state::now_ms(), .error = what.message()});
}

void NetworkLog::write(const NetworkEvent& event) {
  const std::string line = state::format_network_event(event);
  if (!budget_.take(line.size())) return;
  if (const uint64_t missing = budget_.take_refused())
    writer_.write_line(state::format_network_event({.timestamp_ms = event.timestamp_ms, .missing_bytes = missing}));
  writer_.write_line(line);
}

}  // namespace msb::vmm
