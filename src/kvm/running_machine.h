// RunningMachine: a Machine whose processors have threads.
//
//   MSB_TRY(auto running, RunningMachine::start(reactor, mailbox, std::move(machine), std::move(events)));
//   // events.ready: every thread has prepared itself and rests; now the first instruction may be allowed
//   running->resume([] { ... });
//
// All on the device thread, which must go on dispatching its reactor until Events::ended. Each request is answered when
// it has been carried out, in order; none after the end.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "kvm/machine.h"

namespace msb::kvm {

class RunningMachine {
 public:
  using Done = std::function<void()>;
  struct Events {
    std::function<Result<>()> prepare_thread;  // on each processor's thread, first of all
    std::function<void()> ready;               // once, unless the end comes first
    // Once, last: all threads have ended and the console's output is written. The machine may be destroyed inside.
    std::function<void(const VcpuEnd&)> ended;
  };

  static Result<std::unique_ptr<RunningMachine>> start(Reactor& reactor, Mailbox& device_thread,
                                                       std::unique_ptr<Machine> machine, Events events);
  // Ends the processors' threads, dispatching the reactor meanwhile if need be.
  ~RunningMachine();

  void pause(Done done);
  void resume(Done done);
  // Asks the guest to give up that much memory; as much as it has at most.
  void set_balloon(uint64_t mib);
  void end(VcpuEnd end);

  Machine& machine() { return *machine_; }

 private:
  RunningMachine(Reactor& reactor, Mailbox& device_thread, std::unique_ptr<Machine> machine, Events events)
      : reactor_(reactor), device_thread_(device_thread), machine_(std::move(machine)), events_(std::move(events)) {}
  struct Step {
    enum class Kind { pause, resume } kind;
    Done done;
  };
  Result<> start_threads();
  void ask(Step step);
  void proceed();
  void finish_step();
  void on_rested();
  void on_finished();
  void report_end();

  Reactor& reactor_;
  Mailbox& device_thread_;
  std::unique_ptr<Machine> machine_;
  Events events_;
  std::deque<Step> steps_;  // the first one may be under way
  size_t unrested_ = 0;     // processors that have not yet come to rest
  size_t unfinished_ = 0;   // threads that have not yet ended
  std::optional<VcpuEnd> end_;
  bool reported_ = false;
};

}  // namespace msb::kvm
