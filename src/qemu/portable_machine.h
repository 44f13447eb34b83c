// PortableMachine: one guest in a QEMU child process (software emulation, no KVM needed), inside a fence.
//
//   MSB_TRY(auto qemu, find_qemu({.cache_file = home.qemu_cache()}));
//   MSB_TRY(auto machine, PortableMachine::start(*reactor, spec, qemu, {.on_exit = [&](const MachineExit& exit) { ...
//   }})); machine->agent_fd();     // the guest's virtio port "agent", a byte stream both ways machine->console_fd();
//   // what the guest kernel prints, raw (\r\n); end of file when QEMU ends
//
// Everything belongs to the reactor's thread. The descriptors are non-blocking stream sockets that the machine owns and
// keeps open as long as it lives (take_agent/take_console give them away). QEMU blocks on a console that nobody reads:
// always watch it. QEMU dies with the thread that started the machine (PDEATHSIG) and with the machine object.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/child.h"
#include "base/fd.h"
#include "base/reactor.h"
#include "base/result.h"
#include "disk/disk_traffic.h"
#include "fence/fence.h"
#include "qemu/discovery.h"
#include "qemu/qmp.h"
#include "state/machine_spec.h"

namespace msb::qemu {

struct MachineExit {
  enum class Cause {
    guest,  // the guest powered off or reset itself: both end the machine (also what a kernel panic leads to: read the
            // console)
    requested,  // quit() or kill()
    killed,     // a signal from elsewhere (out-of-memory killer, seccomp, an operator)
    failed,     // QEMU gave up: bad arguments, a file it could not use, an internal error
  };
  Cause cause = Cause::failed;
  ExitStatus status;
  std::string stderr_tail;  // the last 64 KiB at most of what QEMU said

  // For causes killed and failed: one sentence, QEMU's own words, and what to do. ErrorKind::runtime.
  Error to_error() const;
};

struct MachineOptions {
  MachineOptions() = default;
  uint32_t tb_size_mib = 0;        // translation cache; 0 picks by guest memory
  bool guest_log = false;          // the kernel prints its whole log on the console, not only warnings
  std::string extra_kernel_words;  // appended to the kernel command line
  std::optional<fence::CgroupSeat> cgroup;
  // A machine with shares: QEMU's end of the vhost-user connection to the device that serves them. Answer it once the
  // machine has been started: QEMU waits.
  int share_socket = -1;
  // A machine with a network: QEMU's end of its cable (make_socket_pair(SocketKind::messages)), a message per frame.
  int network_socket = -1;
};

struct MachineObserver {
  std::function<void(const MachineExit&)> on_exit;     // once; the machine may be destroyed inside
  std::function<void(const QmpEvent&)> on_event = {};  // SHUTDOWN, RESET, STOP, RESUME ...
};

class PortableMachine {
 public:
  // Checks the specification (files, memory, kernel format), raises the fence and starts QEMU in it; returns when QEMU
  // has been executed, some milliseconds. What QEMU itself refuses is reported by on_exit with Cause::failed.
  static Result<std::unique_ptr<PortableMachine>> start(Reactor& reactor, const state::MachineSpec& spec,
                                                        const QemuProgram& qemu, MachineObserver observer,
                                                        const MachineOptions& options = {});
  ~PortableMachine();
  PortableMachine(const PortableMachine&) = delete;
  PortableMachine& operator=(const PortableMachine&) = delete;

  int agent_fd() const { return agent_.get(); }
  int console_fd() const { return console_.get(); }
  Fd take_agent() { return std::move(agent_); }
  Fd take_console() { return std::move(console_); }

  pid_t pid() const { return child_.pid(); }
  const fence::WallReports& walls() const { return walls_; }
  const QemuProgram& program() const { return program_; }

  // Asks QEMU to flush its disks and end (QMP quit). The guest is not asked: stop the agent first.
  void quit();
  // SIGKILL. Data the guest has flushed is safe.
  void kill();
  // Stops and continues the guest's processors; `done` runs when QEMU has answered, and must not destroy the machine.
  void pause(QmpReply done);
  void resume(QmpReply done);
  // What the guest has read and written of its disks, as QEMU says.
  void measure_disks(disk::TrafficReply reply);
  QmpClient& qmp() { return *qmp_; }

 private:
  PortableMachine(const QemuProgram& program, MachineObserver observer);
  Result<> watch(Reactor& reactor);
  void read_stderr();
  void finish();
  void on_event(const QmpEvent& event);

  QemuProgram program_;
  MachineObserver observer_;
  Child child_;
  fence::WallReports walls_;
  Fd agent_;
  Fd console_;
  Fd stderr_;
  std::string stderr_tail_;
  bool guest_ended_ = false;
  bool requested_ = false;
  std::unique_ptr<QmpClient> qmp_;
  Reactor::Watch stderr_watch_;
  Reactor::Watch exit_watch_;
};

// The walls this host grants, found by running "QEMU --version" inside the fence (30 ms): for `doctor`. An Error when
// QEMU does not even start there.
Result<fence::WallReports> probe_walls(const QemuProgram& qemu);

}  // namespace msb::qemu
