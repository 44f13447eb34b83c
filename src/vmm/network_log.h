// NetworkLog: what the network of a sandbox refused, in logs/network.log: a JSON object a line with the fields of
// net::DenialEvent; and what is wrong with the proxy, if there is one. A guest that is refused without end fills
// LogBudget's share, not the disk.
#pragma once

#include "net/events.h"
#include "state/log_writer.h"
#include "vmm/log_budget.h"

namespace msb::vmm {

// {"time_ms":1732222222222,"direction":"egress","protocol":"tcp","address":"10.0.0.1","port":22,"name":"x.example",
// "rule":"deny@private"}; what there is none of is left out. A "guest_port" is that of an ingress event.
std::string to_json(const net::DenialEvent& event, int64_t time_ms);

class NetworkLog {
 public:
  explicit NetworkLog(state::LogWriter writer) : writer_(std::move(writer)) {}
  void denied(const net::DenialEvent& event);
  // {"time_ms":1732222222222,"error":"the proxy http://proxy:3128 cannot be reached: ..."}
  void trouble(const Error& what);

 private:
  void write(const std::string& line, int64_t time_ms);

  state::LogWriter writer_;
  LogBudget budget_;
};

}  // namespace msb::vmm
