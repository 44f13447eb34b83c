// Meter: what a running machine uses, found out when a client asks. Nothing is sampled: between two questions nobody
// wakes up for this, and who wants a rate keeps the answer before.
//
//   client -- core.machine.measure --> Relay --> Meter --+-- the machine's process: clock, resident memory  (at once)
//                                                        +-- the machine: its disks    (control socket, QMP)
//                                                        +-- the network's thread: the gateway's counters  (mailbox)
//   client <-- core.machine.measured -- Relay <----------+   when all have answered
//
// What only the guest knows its agent is asked for by the client itself (core.guest.measure), so that a guest that
// hangs keeps nobody from what the host knows. Who does not answer here (a machine that lies dead) keeps the others
// waiting; clients have deadlines.
//
// The reactor's thread. The machine must live as long as this.
#pragma once

#include <functional>
#include <memory>

#include "vmm/machine.h"
#include "vmm/process_meter.h"
#include "wire/measure_messages.h"

namespace msb::vmm {

class Meter {
 public:
  using Answer = std::function<void(const wire::MachineMeasured&)>;

  // Before the walls round this process. The machine's uptime counts from here.
  static Result<std::unique_ptr<Meter>> create(Machine& machine, Answer on_answer);

  // `on_answer` follows, perhaps inside. Asked again before that, the one answer is for both.
  void measure();

 private:
  using Clock = std::chrono::steady_clock;
  Meter(Machine& machine, ProcessMeter process, Answer on_answer)
      : machine_(machine), process_(std::move(process)), on_answer_(std::move(on_answer)) {}
  void read_process();
  void note(const Error& error);
  void answered();

  Machine& machine_;
  ProcessMeter process_;
  Answer on_answer_;
  Clock::time_point start_ = Clock::now();
  wire::MachineMeasured measured_;
  int missing_ = 0;  // answers of those that were asked
};

}  // namespace msb::vmm
