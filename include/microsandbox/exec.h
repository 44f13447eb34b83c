// Running processes in a sandbox: options, output, and a handle on a running one.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <microsandbox/result.h>

namespace msb {

// A POSIX resource limit. resource is one of cpu, fsize, data, stack, core, rss, nproc, nofile, memlock, as,
// locks, sigpending, msgqueue, nice, rtprio, rttime.
struct ResourceLimit {
  std::string resource = {};
  uint64_t soft = 0;
  uint64_t hard = 0;
  // "nofile=1024" or "nofile=1024:4096".
  MSB_API static Result<ResourceLimit> parse(std::string_view text);
};

enum class StdinMode {
  null,   // /dev/null
  pipe,   // written with ExecHandle::write_stdin()
  bytes,  // ExecOptions::stdin_bytes, then end of file
};

struct ExecOptions {
  std::vector<std::string> args = {};
  std::optional<std::string> cwd = {};                        // default: the sandbox's workdir
  std::optional<std::string> user = {};                       // "USER|UID[:GROUP|GID]", looked up in the guest
  std::vector<std::pair<std::string, std::string>> env = {};  // over the sandbox's own; later wins
  std::optional<std::chrono::milliseconds> timeout = {};      // killed after this; 0 or absent = none
  StdinMode stdin_mode = StdinMode::null;
  std::string stdin_bytes = {};
  bool tty = false;  // a pseudo terminal; stderr then arrives as stdout
  uint16_t rows = 24;
  uint16_t cols = 80;
  std::vector<ResourceLimit> rlimits = {};
};

struct ExecOutput {
  int exit_code = 0;        // 128 + N when signal N ended it
  bool oom_killed = false;  // the guest ran out of memory and its kernel chose this process
  std::string stdout_bytes;
  std::string stderr_bytes;
  bool success() const { return exit_code == 0; }
};

// Payload of ErrorKind::exec_timeout: what the process had written by then.
struct MSB_API ExecTimeoutDetail : ErrorDetail {
  ~ExecTimeoutDetail() override;
  ExecOutput captured;
  std::chrono::milliseconds timeout{};
};

// Payload of ErrorKind::exec_failed: the process never ran.
struct MSB_API ExecFailedDetail : ErrorDetail {
  ~ExecFailedDetail() override;
  // not_found, permission_denied, not_executable, bad_cwd, bad_args, resource_limit,
  // user_setup_failed, out_of_memory, pty_setup_failed, other
  std::string reason;
  int errnum = 0;
  std::string stage;
};

struct ExecEvent {
  enum class Kind { started, stdout_data, stderr_data, stdin_error, exited };
  Kind kind = Kind::started;
  uint32_t pid = 0;       // started: the process id inside the guest
  std::string data = {};  // stdout_data, stderr_data; stdin_error: the message
  int code = 0;           // exited: exit code; stdin_error: errno
  bool oom_killed = false;
};

// A running process. Destroying the handle before the process has exited kills it.
// Not thread-safe, except that write_stdin, close_stdin, signal and resize may be called
// from one other thread than recv.
class MSB_API ExecHandle {
 public:
  ExecHandle(ExecHandle&&) noexcept;
  ExecHandle& operator=(ExecHandle&&) noexcept;
  ~ExecHandle();

  // The next event; blocks. nullopt after `exited`. A process that could not be started is
  // ErrorKind::exec_failed.
  Result<std::optional<ExecEvent>> recv();
  // Like recv(), but nullopt also when nothing has arrived yet; finished() tells the two apart.
  Result<std::optional<ExecEvent>> try_recv();
  // Readable when try_recv() may have something: for callers with an event loop of their own.
  int poll_fd() const;
  bool finished() const;

  // Blocks while the process does not read (a window's worth is in flight).
  Result<> write_stdin(std::string_view bytes);
  // How much write_stdin() takes now without blocking.
  uint64_t stdin_room() const;
  Result<> close_stdin();
  // To the process group. 9 cannot be ignored.
  Result<> signal(int signal);
  Result<> kill() { return signal(9); }
  Result<> resize(uint16_t rows, uint16_t cols);

  // Reads to the end. With a timeout, kills the process when it passes and returns
  // ErrorKind::exec_timeout with the output so far.
  Result<ExecOutput> collect(std::optional<std::chrono::milliseconds> timeout = std::nullopt);

  struct State;
  explicit ExecHandle(std::unique_ptr<State> state);

 private:
  std::unique_ptr<State> state_;
};

// What an interactive session needs beyond ExecOptions.
struct AttachOptions {
  ExecOptions exec = {};
  // Keys that leave the process running and return, as "ctrl-]" or "ctrl-p,ctrl-q"; empty = none.
  std::string detach_keys = "ctrl-]";
};

// Whether that could be AttachOptions::detach_keys; ErrorKind::invalid_config says what is wrong with it.
MSB_API Result<> validate_detach_keys(std::string_view keys);

struct AttachOutcome {
  bool detached = false;
  int exit_code = 0;
};

}  // namespace msb
