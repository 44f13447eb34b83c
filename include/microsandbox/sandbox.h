// Sandbox: a microVM made from an image, with a life of its own.
//
//   msb::SandboxConfig config;
//   config.name = "demo";
//   config.image = *msb::ImageSource::parse("python");
//   auto sandbox = msb::Sandbox::create(config);
//   if (!sandbox) return report(sandbox.error());
//   auto output = sandbox->exec("python3", {.args = {"-c", "print(1 + 1)"}});
//   sandbox->stop();
//
// There is no daemon: every sandbox is a process of its own, which this library starts and
// then talks to over a Unix socket. State is in $MSB_HOME (default ~/.microsandbox) and
// shared safely by any number of processes of one user.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <microsandbox/config.h>
#include <microsandbox/exec.h>
#include <microsandbox/filesystem.h>
#include <microsandbox/image.h>
#include <microsandbox/metrics.h>
#include <microsandbox/result.h>

namespace msb {

enum class SandboxStatus { created, starting, running, draining, paused, stopped, crashed };
MSB_API std::string_view to_string(SandboxStatus status);  // "running"

// One wall between the guest and the host.
struct Wall {
  std::string name;  // "vm", "user-namespace", "empty-root", "seccomp", "landlock", ...
  bool up = false;
  std::string detail;  // why it is not up, or what it is
};

struct SandboxInfo {
  std::string id;
  std::string name;
  std::string image;  // as the user gave it
  SandboxStatus status = SandboxStatus::created;
  int64_t created_at_ms = 0;  // Unix time
  int64_t updated_at_ms = 0;
  std::optional<int64_t> started_at_ms;
  std::optional<int> pid;  // of the sandbox process, while running
  uint32_t cpus = 1;
  uint32_t memory_mib = 512;
  bool ephemeral = false;
  std::map<std::string, std::string> labels;
  std::vector<std::string> command;  // the startup command or the image's default
  std::string machine;               // "portable", "kvm"; empty before the first start
  std::string isolation;             // "process", "hardware"
  std::vector<Wall> walls;
  std::vector<std::string> ports;  // published, while running: as PortBinding::parse() reads them, none of them 0
  std::string termination_reason;  // of the last run: "completed", "killed", "max_duration", ...
  std::optional<int> exit_code;    // of the startup command
  std::string config_json;         // the whole configuration, secrets left out
};

// Payload of ErrorKind::boot_start.
struct MSB_API BootFailure : ErrorDetail {
  ~BootFailure() override;
  std::string stage;  // "config", "image", "build_vm", "mount", "agent", "other"
  std::string cause;
  std::vector<std::string> kernel_lines;  // the guest's last
};

enum class LogSource { stdout_stream, stderr_stream, system, network };
struct LogEntry {
  int64_t timestamp_ms = 0;
  LogSource source = LogSource::stdout_stream;
  std::optional<uint64_t> session_id;
  std::string data;
};
struct LogQuery {
  std::optional<size_t> tail = {};       // the last N entries
  std::optional<int64_t> since_ms = {};  // Unix time
  std::optional<int64_t> until_ms = {};
  bool stdout_stream = true;
  bool stderr_stream = true;
  bool system = false;
  bool network = false;  // what was refused, each a line of JSON; Sandbox::network_events() reads them
  bool follow = false;   // until the sandbox stops
};

// What can be changed about a sandbox that is not running; what is absent stays.
struct SandboxChanges {
  std::optional<uint32_t> root_disk_mib = {};  // grows a root disk of the sandbox's own; the next start uses it
};

class MSB_API Sandbox {
 public:
  Sandbox(Sandbox&&) noexcept;
  Sandbox& operator=(Sandbox&&) noexcept;
  // An attached sandbox (not config.detached) is shut down when its handle goes.
  ~Sandbox();

  // ---- finding and making ------------------------------------------------------------
  // Pulls the image if needed, boots, returns when the guest's agent answers.
  static Result<Sandbox> create(SandboxConfig config, const PullProgress& progress = {});
  // Starts a stopped, created or crashed sandbox again with its stored configuration.
  static Result<Sandbox> start(const std::string& name, bool detached = true);
  // A running sandbox made by somebody else; the handle does not own its life.
  static Result<Sandbox> connect(const std::string& name);
  static Result<SandboxInfo> get(const std::string& name);
  // Whether the guest may reach it. Of a name: may it be asked for, and may it be connected to at a public address.
  // Nothing is resolved or sent, and the sandbox need not run.
  static Result<NetworkCheck> check_network(const std::string& name, const NetworkTarget& target);
  static Result<std::vector<SandboxInfo>> list();  // newest first
  // The stored sandbox and everything of it; it must not be running.
  static Result<> remove(const std::string& name);

  // ErrorKind::sandbox_still_running while it runs; a root disk does not shrink (invalid_config).
  static Result<> modify(const std::string& name, const SandboxChanges& changes);

  // ---- by name, without a handle -----------------------------------------------------
  // Orderly: TERM, grace, sync, power off; after `timeout` by force. Not running = success.
  static Result<> stop(const std::string& name, std::chrono::milliseconds timeout = std::chrono::seconds(10));
  static Result<> kill(const std::string& name);
  static Result<> logs(const std::string& name, const LogQuery& query,
                       const std::function<bool(const LogEntry&)>& deliver);  // deliver returns false to end
  // What its network refused; of `query` the times, tail and follow count.
  static Result<> network_events(const std::string& name, LogQuery query,
                                 const std::function<bool(const NetworkEvent&)>& deliver);
  // What it uses now; cpu_percent is of the 200 ms that this takes.
  static Result<SandboxMetrics> metrics(const std::string& name);
  // The same at once and then every `interval`, until the sandbox stops or deliver returns false. cpu_percent is of the
  // time between two, at first of that since the start.
  static Result<> metrics_stream(const std::string& name, std::chrono::milliseconds interval,
                                 const std::function<bool(const SandboxMetrics&)>& deliver);

  // ---- the handle ----------------------------------------------------------------------
  const std::string& name() const;
  bool owns_lifecycle() const;
  void detach();  // lets it live on after the handle
  Result<SandboxInfo> info() const;
  Result<> stop(std::chrono::milliseconds timeout = std::chrono::seconds(10));
  Result<> kill();
  // For a sandbox whose work is done: stop(), or kill() when it keeps nothing (ephemeral, and no disk of the user's).
  Result<> finish();
  // Blocks until the sandbox process has ended.
  Result<SandboxInfo> wait_until_stopped();
  // Round trip to the agent.
  Result<std::chrono::nanoseconds> ping();
  Result<SandboxMetrics> metrics() const { return metrics(name()); }

  // ---- processes -------------------------------------------------------------------------
  Result<ExecOutput> exec(const std::string& command, const ExecOptions& options = {});
  Result<ExecHandle> exec_stream(const std::string& command, const ExecOptions& options = {});
  // `<shell> -c script` with the sandbox's shell.
  Result<ExecOutput> shell(const std::string& script, const ExecOptions& options = {});
  Result<ExecHandle> shell_stream(const std::string& script, const ExecOptions& options = {});
  // Entrypoint and command of the image and configuration; ErrorKind::no_default_command when there is none.
  Result<ExecOutput> exec_default(const ExecOptions& options = {});
  Result<ExecHandle> exec_default_stream(const ExecOptions& options = {});
  // The argv that exec_default would run; `override` replaces the image's CMD and keeps the entrypoint.
  Result<std::vector<std::string>> default_command(
      const std::optional<std::vector<std::string>>& override = std::nullopt) const;
  const std::string& shell_path() const;

  // This terminal becomes the process's: raw mode, resize, detach keys. Needs a terminal on stdin.
  Result<AttachOutcome> attach(const std::string& command, const AttachOptions& options = {});
  Result<AttachOutcome> attach_shell(const AttachOptions& options = {});

  // ---- files -----------------------------------------------------------------------------
  Filesystem fs() const { return Filesystem(name()); }

  struct State;
  explicit Sandbox(std::unique_ptr<State> state);

 private:
  std::unique_ptr<State> state_;
};

// What this host can do, for `msb doctor`.
struct DoctorCheck {
  enum class Verdict { ok, warning, failure };
  std::string name;
  Verdict verdict = Verdict::ok;
  std::string detail;
  std::string advice;
};
// Boots a probe machine when `probe` is set.
MSB_API Result<std::vector<DoctorCheck>> doctor(bool probe = true);

MSB_API std::string version();

}  // namespace msb
