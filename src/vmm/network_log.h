// NetworkLog: what the network of a sandbox refused and what is wrong with its proxy, in logs/network.log
// (state/network_event.h). A guest that is refused without end fills LogBudget's share, not the disk.
#pragma once

#include "net/events.h"
#include "state/log_writer.h"
#include "vmm/log_budget.h"

namespace msb::vmm {

class NetworkLog {
 public:
  explicit NetworkLog(state::LogWriter writer) : writer_(std::move(writer)) {}
  void denied(const net::DenialEvent& event);
  void trouble(const Error& what);

 private:
  void write(const NetworkEvent& event);

  state::LogWriter writer_;
  LogBudget budget_;
};

}  // namespace msb::vmm
