// MetricsProbe: asks one running sandbox what it uses, again and again over one connection.
//
//   MSB_TRY(auto probe, MetricsProbe::open("demo"));
//   MSB_CHECK(probe.ask());                // several probes: all are asked before the first is heard
//   MSB_TRY(auto metrics, probe.collect());
//
// The sandbox's process answers for the machine, the agent for the guest (wire/measure_messages.h). A guest that hangs
// costs one look a second at most: it is asked again only when it has answered.
#pragma once

#include <microsandbox/metrics.h>

#include "base/deadline.h"
#include "sandbox/agent_connection.h"
#include "wire/measure_messages.h"

namespace msb {

// What is known of a sandbox without asking it.
struct MetricsFacts {
  uint64_t memory_limit_bytes = 0;
  std::string upper;  // host path of the writable layer; empty: in the guest's memory
};

class MetricsProbe {
 public:
  // sandbox_not_found, sandbox_not_running.
  static Result<MetricsProbe> open(const std::string& name);
  // Over a connection that is there; for open(), and tests.
  MetricsProbe(std::string name, MetricsFacts facts, AgentConnection connection)
      : name_(std::move(name)),
        facts_(std::move(facts)),
        connection_(std::move(connection)),
        next_id_(connection_.first_id()) {}

  Result<> ask();
  // Any failure means that the connection is of no more use.
  Result<SandboxMetrics> collect();
  // Waits for `until`, or for the sandbox's end: then true.
  Result<bool> wait(const Deadline& until) const { return wait_for(connection_.fd(), POLLRDHUP, until); }

 private:
  uint32_t take_id();
  Result<> take(const wire::Frame& frame);

  std::string name_;
  MetricsFacts facts_;
  AgentConnection connection_;
  uint32_t next_id_;
  uint32_t machine_id_ = 0;
  uint32_t guest_id_ = 0;  // 0: the guest owes no answer
  bool wait_for_guest_ = false;
  Deadline machine_deadline_;
  Deadline guest_deadline_;
  std::optional<wire::MachineMeasured> machine_;
  wire::GuestMeasured guest_;
  std::optional<wire::MachineMeasured> before_;
};

// What the answers come to. `before`: the machine's answer at the last look.
Result<SandboxMetrics> to_metrics(const wire::MachineMeasured& machine, const wire::GuestMeasured& guest,
                                  const std::optional<wire::MachineMeasured>& before, const MetricsFacts& facts);

}  // namespace msb
