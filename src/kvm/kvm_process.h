// KvmProcess: one guest on KVM, in a child process (the program msb-kvm) inside a fence.
//
//   MSB_TRY(auto machine, KvmProcess::start(*reactor, spec, {.on_exit = ...}, {.program = runtime.msb_kvm}));
//   machine->agent_fd();    // the guest's virtio port "agent", a byte stream both ways
//   machine->console_fd();  // what the guest's kernel prints, raw; end of file when the child ends
//
// Everything belongs to the reactor's thread. The descriptors are non-blocking stream sockets that the machine owns and
// keeps open as long as it lives. The child blocks or drops output on a console that nobody reads: always watch it. It
// dies with the thread that started it (PDEATHSIG) and with this object.
//
// The child holds nothing but the descriptors it was given, and is not believed: what it says on its control socket is
// bounded, parsed strictly and made printable. A lie of it changes a log line or ends its own machine.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/child.h"
#include "base/fd.h"
#include "base/reactor.h"
#include "base/result.h"
#include "disk/disk_traffic.h"
#include "fence/fence.h"
#include "kvm/control.h"
#include "state/machine_spec.h"

namespace msb::kvm {

struct MachineExit {
  enum class Cause {
    guest,      // the guest powered off or reset itself: both end the machine (also what a kernel panic leads to)
    requested,  // kill()
    killed,     // a signal from elsewhere (out-of-memory killer, seccomp, an operator)
    failed,     // msb-kvm gave up, or a processor stopped with an error
  };
  Cause cause = Cause::failed;
  ExitStatus status;
  std::string message;      // what msb-kvm said last
  std::string hint;         // its advice
  std::string registers;    // of the processor that stopped, one line each
  std::string stderr_tail;  // the last 64 KiB at most of what it wrote

  // For causes killed and failed: one sentence and what to do. ErrorKind::runtime.
  Error to_error() const;
};

struct MachineOptions {
  std::string program;  // the path of msb-kvm; readable and executable for all
  std::string device = "/dev/kvm";
  bool guest_log = false;  // the kernel prints its whole log on the console, not only warnings
  std::string extra_kernel_words = {};
  std::optional<fence::CgroupSeat> cgroup = {};
  // A machine with a network: its end of the cable (make_socket_pair(SocketKind::messages)).
  int network_socket = -1;
};

struct MachineObserver {
  std::function<void(const MachineExit&)> on_exit;               // once; the machine may be destroyed inside
  std::function<void(const std::string& line)> on_warning = {};  // for the log; kMaxWarnings, and one that says so
};

// The answer to a request. Runs on the reactor's thread; must not destroy the machine.
using Reply = std::function<void(Result<>)>;

class KvmProcess {
 public:
  // Checks the specification (files, memory, kernel format, locks), raises the fence and starts msb-kvm in it; returns
  // when it has been executed, some milliseconds. What it refuses itself is reported by on_exit with Cause::failed.
  // /dev/kvm must open: ask probe() first for a better explanation when it does not.
  static Result<std::unique_ptr<KvmProcess>> start(Reactor& reactor, const state::MachineSpec& spec,
                                                   MachineObserver observer, const MachineOptions& options);
  ~KvmProcess();
  KvmProcess(const KvmProcess&) = delete;
  KvmProcess& operator=(const KvmProcess&) = delete;

  int agent_fd() const { return agent_.get(); }
  int console_fd() const { return console_.get(); }
  pid_t pid() const { return child_.pid(); }

  // The fence's.
  const fence::WallReports& walls() const { return walls_; }
  // Those that msb-kvm has raised itself; it says so before the first guest instruction. Reads what has come in.
  const std::vector<std::string>& inner_walls();

  // SIGKILL. Data the guest has flushed is safe.
  void kill();
  // Stops and continues the guest's processors.
  void pause(Reply done);
  void resume(Reply done);
  // Asks the guest to give up that much memory; 0 gives it back.
  void balloon(uint64_t mib, Reply done);
  // What the guest has read and written of its disks, as msb-kvm says.
  void measure_disks(disk::TrafficReply reply);

 private:
  explicit KvmProcess(MachineObserver observer);
  Result<> watch(Reactor& reactor);
  using Answer = std::function<void(Result<Notice>)>;
  void request(Request request, Answer answer);
  int read_control();  // the number of packets read
  void on_notice(Notice notice);
  void give_up(std::string why);
  void read_stderr();
  void finish();

  MachineObserver observer_;
  Child child_;
  fence::WallReports walls_;
  std::vector<std::string> inner_walls_;
  Fd agent_;
  Fd console_;
  Fd control_;
  Fd stderr_;
  std::string stderr_tail_;
  bool requested_ = false;
  bool started_ = false;
  bool ended_ = false;  // it has said why: nothing more is heard
  bool guest_ended_ = false;
  MachineExit exit_;
  size_t warnings_ = 0;
  uint32_t last_request_ = 0;
  std::map<uint32_t, Answer> waiting_;
  Reactor::Watch control_watch_;
  Reactor::Watch stderr_watch_;
  Reactor::Watch exit_watch_;
};

// A notice of the child, if it is one: text bounded and made printable. ErrorKind::protocol. For start() and fuzzing.
Result<Notice> parse_notice(ByteView packet);

// The walls this host grants, found by starting msb-kvm without a configuration inside the fence: for `doctor`.
Result<fence::WallReports> probe_walls(const std::string& program);

}  // namespace msb::kvm
