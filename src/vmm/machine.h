// Machine: a running guest, whatever runs it. The VMM process needs no more than this of one.
//
// The descriptors are non-blocking stream sockets that belong to the machine and live as long as it.
// Everything happens on the reactor's thread. Destroying a machine kills it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <microsandbox/sandbox.h>

#include "base/reactor.h"
#include "base/result.h"
#include "disk/disk_traffic.h"
#include "state/launch_config.h"

namespace msb::vmm {

struct MachineEnd {
  enum class Cause {
    guest,      // powered off or reset by the guest; also what a kernel panic comes to
    requested,  // kill() was called
    killed,     // a signal from elsewhere ended it
    failed,     // it gave up: bad arguments, a file it could not use, an internal error
  };
  Cause cause = Cause::failed;
  std::string message;       // killed and failed: one sentence
  std::string hint;          // and what to do about it
  std::string details = {};  // lines for the log: the registers of a processor that stopped
};

class Network;

class Machine {
 public:
  virtual ~Machine() = default;
  virtual int agent_fd() const = 0;           // the guest's port "agent"
  virtual int console_fd() const = 0;         // what the guest's kernel prints
  virtual std::string name() const = 0;       // "portable", "kvm"
  virtual std::string isolation() const = 0;  // "process", "hardware"
  virtual std::vector<Wall> walls() const = 0;
  virtual const Network* network() const { return nullptr; }  // nullptr: there is none
  virtual pid_t pid() const = 0;                              // of the process that runs the guest
  // `reply` once, perhaps inside; not at all when the machine is destroyed before.
  virtual void measure_disks(disk::TrafficReply reply) = 0;
  virtual void kill() = 0;  // the exit handler follows
};

// Called once; the machine may not be destroyed inside.
using ExitHandler = std::function<void(const MachineEnd& end)>;
using MachineFactory =
    std::function<Result<std::unique_ptr<Machine>>(Reactor&, const state::LaunchConfig&, ExitHandler)>;

// The machine that config.machine_choice asks for.
Result<std::unique_ptr<Machine>> build_machine(Reactor& reactor, const state::LaunchConfig& config,
                                               ExitHandler on_exit);

}  // namespace msb::vmm
