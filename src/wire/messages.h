// The messages of the agent protocol. kType is the name on the wire; fields() lists the
// keys. docs/format/agent-protocol.md tells when each is sent.
//
// Direction is written as H>G (a host client or the VMM to the agent) or G>H.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "wire/codec.h"
#include "wire/frame.h"

namespace msb::wire {

// ---- boot -------------------------------------------------------------------------

struct Rlimit {
  std::string resource;  // "nofile", "nproc", ... (lower case, without RLIMIT_)
  uint64_t soft = 0;
  uint64_t hard = 0;
  static void fields(auto& self, auto&& field) {
    field("resource", self.resource);
    field("soft", self.soft);
    field("hard", self.hard);
  }
};

// How the agent makes the root file system from the block devices it finds.
struct RootSpec {
  // "overlay": lower EROFS + upper; "flat": a copy of the lower on the device; "disk": the device itself is the root.
  std::string kind = "overlay";
  std::string lower;            // overlay, flat: device of the EROFS, "/dev/vda"
  std::string device;           // overlay: device of the upper; flat, disk: the root; empty = tmpfs upper
  std::string fstype = "ext4";  // of `device`; empty = try every type in /proc/filesystems that needs a device
  bool read_only = false;       // disk: mount it read-only
  uint64_t tmpfs_bytes = 0;     // size of a tmpfs upper; 0 = half of the memory
  bool grow = false;            // an ext4 smaller than its device grows to its size
  static void fields(auto& self, auto&& field) {
    field("kind", self.kind);
    field("lower", self.lower);
    field("device", self.device);
    field("fstype", self.fstype);
    field("read_only", self.read_only);
    field("tmpfs_bytes", self.tmpfs_bytes);
    field("grow", self.grow);
  }
};

// A file system beside the root.
struct MountSpec {
  std::string kind;          // "tmpfs", "disk", "share"
  std::string target;        // absolute path, made when it is not there
  std::string device;        // disk: "/dev/vdc"
  std::string fstype;        // disk: empty = try every type in /proc/filesystems that needs a device
  uint64_t tmpfs_bytes = 0;  // tmpfs: 0 = half of the memory
  std::string share;         // share: a directory in the root of the file system with the virtiofs tag "msb"
  std::string file;          // share: the one file in it that is mounted; empty = the directory
  bool read_only = false;
  bool noexec = false;
  bool nosuid = false;
  bool nodev = false;
  static void fields(auto& self, auto&& field) {
    field("kind", self.kind);
    field("target", self.target);
    field("device", self.device);
    field("fstype", self.fstype);
    field("tmpfs_bytes", self.tmpfs_bytes);
    field("share", self.share);
    field("file", self.file);
    field("read_only", self.read_only);
    field("noexec", self.noexec);
    field("nosuid", self.nosuid);
    field("nodev", self.nodev);
  }
};

// One family of the guest's network card.
struct NetworkAddress {
  std::string address;  // "172.16.0.2"
  uint8_t prefix = 30;
  std::string gateway;  // of everything; on the link
  static void fields(auto& self, auto&& field) {
    field("address", self.address);
    field("prefix", self.prefix);
    field("gateway", self.gateway);
  }
};

// The guest's network card, eth0.
struct NetworkSetup {
  uint32_t mtu = 1500;
  std::vector<NetworkAddress> addresses;  // at most one of each family
  static void fields(auto& self, auto&& field) {
    field("mtu", self.mtu);
    field("addresses", self.addresses);
  }
};

// H>G, id 0, the first frame of all.
struct Bootstrap {
  static constexpr std::string_view kType = "core.bootstrap";
  RootSpec root;
  std::string hostname;
  std::vector<std::string> env;          // "K=V", the base environment of every process
  std::string workdir;                   // default working directory; empty = "/"
  std::string user;                      // default "USER|UID[:GROUP|GID]"; empty = root
  std::vector<Rlimit> rlimits;           // for every process
  std::vector<std::string> nameservers;  // the first ones in /etc/resolv.conf
  std::optional<NetworkSetup> network;   // none: there is no network card
  uint64_t tmp_bytes = 0;                // size of a tmpfs on /tmp; 0 = none
  std::vector<MountSpec> mounts;         // in this order
  uint32_t cpus = 1;                     // bring this many CPUs on line (the kernel boots with one)
  uint64_t unix_time_nanos = 0;          // the host's clock
  static void fields(auto& self, auto&& field) {
    field("root", self.root);
    field("hostname", self.hostname);
    field("env", self.env);
    field("workdir", self.workdir);
    field("user", self.user);
    field("rlimits", self.rlimits);
    field("nameservers", self.nameservers);
    field("network", self.network);
    field("tmp_bytes", self.tmp_bytes);
    field("mounts", self.mounts);
    field("cpus", self.cpus);
    field("unix_time_nanos", self.unix_time_nanos);
  }
};

// G>H, id 0: the guest is up. Times are CLOCK_BOOTTIME nanoseconds.
struct Ready {
  static constexpr std::string_view kType = "core.ready";
  uint64_t boot_time_ns = 0;   // when PID 1 started, since kernel entry
  uint64_t init_time_ns = 0;   // spent between PID 1's start and the root's being ready
  uint64_t ready_time_ns = 0;  // when this was sent, since kernel entry
  std::string agent_version;
  static void fields(auto& self, auto&& field) {
    field("boot_time_ns", self.boot_time_ns);
    field("init_time_ns", self.init_time_ns);
    field("ready_time_ns", self.ready_time_ns);
    field("agent_version", self.agent_version);
  }
};

// G>H, id 0: the guest cannot come up; it powers off after this.
struct BootFailed {
  static constexpr std::string_view kType = "core.boot.failed";
  std::string stage;  // "config", "mount", "other"
  std::string message;
  int32_t errnum = 0;
  static void fields(auto& self, auto&& field) {
    field("stage", self.stage);
    field("message", self.message);
    field("errno", self.errnum);
  }
};

// H>G: TERM to everything, wait `grace_ms`, KILL, sync, read-only remount, power off.
struct Shutdown {
  static constexpr std::string_view kType = "core.shutdown";
  uint32_t grace_ms = 2000;
  static void fields(auto& self, auto&& field) { field("grace_ms", self.grace_ms); }
};

struct ClockSync {
  static constexpr std::string_view kType = "core.clock.sync";
  uint64_t unix_time_nanos = 0;
  static void fields(auto& self, auto&& field) { field("unix_time_nanos", self.unix_time_nanos); }
};

// H>G, from the relay: a client went away; every session in its id range is killed.
struct ClientDisconnected {
  static constexpr std::string_view kType = "core.relay.client.disconnected";
  uint32_t id_start = 0;
  uint32_t id_end_exclusive = 0;
  static void fields(auto& self, auto&& field) {
    field("id_start", self.id_start);
    field("id_end_exclusive", self.id_end_exclusive);
  }
};

// ---- exec -------------------------------------------------------------------------

// H>G, starts a session.
struct ExecRequest {
  static constexpr std::string_view kType = "core.exec.request";
  std::string cmd;
  std::vector<std::string> args;
  std::vector<std::string> env;  // "K=V", over the sandbox's own
  std::optional<std::string> cwd;
  std::optional<std::string> user;  // "USER|UID[:GROUP|GID]"
  bool tty = false;
  uint32_t rows = 24;
  uint32_t cols = 80;
  std::vector<Rlimit> rlimits;
  bool stdin_open = true;  // false: stdin is /dev/null
  // Bytes the agent may send on each of stdout and stderr before it is granted more.
  // Absent: no flow control (clients of generations before 8).
  std::optional<uint64_t> window;
  static void fields(auto& self, auto&& field) {
    field("cmd", self.cmd);
    field("args", self.args);
    field("env", self.env);
    field("cwd", self.cwd);
    field("user", self.user);
    field("tty", self.tty);
    field("rows", self.rows);
    field("cols", self.cols);
    field("rlimits", self.rlimits);
    field("stdin", self.stdin_open);
    field("window", self.window);
  }
};

// G>H. `stdin_window` is what the client may send on stdin before it is granted more.
struct ExecStarted {
  static constexpr std::string_view kType = "core.exec.started";
  uint32_t pid = 0;
  uint64_t stdin_window = 0;
  static void fields(auto& self, auto&& field) {
    field("pid", self.pid);
    field("stdin_window", self.stdin_window);
  }
};

// H>G; empty data is the end of input.
struct ExecStdin {
  static constexpr std::string_view kType = "core.exec.stdin";
  ByteView data;
  static void fields(auto& self, auto&& field) { field("data", self.data); }
};
// G>H: the process closed its stdin; further data is dropped. The session goes on.
struct ExecStdinError {
  static constexpr std::string_view kType = "core.exec.stdin.error";
  int32_t errnum = 0;
  std::string message;
  static void fields(auto& self, auto&& field) {
    field("errno", self.errnum);
    field("message", self.message);
  }
};
// G>H. With a tty everything comes as stdout.
struct ExecStdout {
  static constexpr std::string_view kType = "core.exec.stdout";
  ByteView data;
  static void fields(auto& self, auto&& field) { field("data", self.data); }
};
struct ExecStderr {
  static constexpr std::string_view kType = "core.exec.stderr";
  ByteView data;
  static void fields(auto& self, auto&& field) { field("data", self.data); }
};

enum class Stream { in, out, err };
inline std::string_view to_string(Stream stream) {
  return stream == Stream::in ? "stdin" : stream == Stream::out ? "stdout" : "stderr";
}
inline bool from_string(std::string_view name, Stream& stream) {
  if (name == "stdin") return stream = Stream::in, true;
  if (name == "stdout") return stream = Stream::out, true;
  if (name == "stderr") return stream = Stream::err, true;
  return false;
}

// Grants `bytes` more on one stream: H>G for stdout and stderr, G>H for stdin.
struct ExecCredit {
  static constexpr std::string_view kType = "core.exec.credit";
  Stream stream = Stream::out;
  uint64_t bytes = 0;
  static void fields(auto& self, auto&& field) {
    field("stream", self.stream);
    field("bytes", self.bytes);
  }
};

struct ExecResize {
  static constexpr std::string_view kType = "core.exec.resize";
  uint32_t rows = 24;
  uint32_t cols = 80;
  static void fields(auto& self, auto&& field) {
    field("rows", self.rows);
    field("cols", self.cols);
  }
};
// To the process's whole group.
struct ExecSignal {
  static constexpr std::string_view kType = "core.exec.signal";
  int32_t signal = 15;
  static void fields(auto& self, auto&& field) { field("signal", self.signal); }
};

// H>G: the session outlives its client; output from now on is discarded and stdin is at its end.
struct ExecDetach {
  static constexpr std::string_view kType = "core.exec.detach";
  static void fields(auto&, auto&&) {}
};

// G>H, terminal: after the last output. code is the exit code, or 128 + signal.
struct ExecExited {
  static constexpr std::string_view kType = "core.exec.exited";
  int32_t code = 0;
  bool oom_killed = false;  // the guest's kernel ran out of memory and chose this process
  static void fields(auto& self, auto&& field) {
    field("code", self.code);
    field("oom_killed", self.oom_killed);
  }
};
// G>H, terminal: the process never ran. kind: not_found, permission_denied, not_executable, bad_cwd,
// bad_args, resource_limit, user_setup_failed, out_of_memory, pty_setup_failed, other.
struct ExecFailed {
  static constexpr std::string_view kType = "core.exec.failed";
  std::string kind;
  int32_t errnum = 0;
  std::string message;
  std::string stage;
  static void fields(auto& self, auto&& field) {
    field("kind", self.kind);
    field("errno", self.errnum);
    field("message", self.message);
    field("stage", self.stage);
  }
};

// ---- liveness and errors ------------------------------------------------------------

struct Ping {
  static constexpr std::string_view kType = "core.ping";
  static void fields(auto&, auto&&) {}
};
struct Pong {
  static constexpr std::string_view kType = "core.pong";
  static void fields(auto&, auto&&) {}
};
// Counts as activity for the idle timeout, which ping does not.
struct Touch {
  static constexpr std::string_view kType = "core.touch";
  static void fields(auto&, auto&&) {}
};
struct Touched {
  static constexpr std::string_view kType = "core.touched";
  uint64_t activity_seq = 0;
  static void fields(auto& self, auto&& field) { field("activity_seq", self.activity_seq); }
};

// Either way, terminal. kind: malformed_message, unsupported_message_type, unsupported_protocol_generation,
// invalid_flags, invalid_payload, invalid_session.
struct ProtocolError {
  static constexpr std::string_view kType = "core.error";
  std::string kind;
  std::string message;
  std::string offending_type;
  static void fields(auto& self, auto&& field) {
    field("kind", self.kind);
    field("message", self.message);
    field("offending_type", self.offending_type);
  }
};

// ---- flow control constants -----------------------------------------------------------

// What our own clients grant per output stream, and the agent per stdin: enough to keep the
// channel busy, small enough that a thousand stalled streams stay below 1 GiB.
inline constexpr uint64_t kStreamWindow = 512 * 1024;
// Largest piece of stream data in one frame.
inline constexpr size_t kMaxChunk = 64 * 1024;

}  // namespace msb::wire
