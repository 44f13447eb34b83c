// The public Sandbox: a handle over lifecycle.h and exec sessions.
#include <unistd.h>

#include <algorithm>

#include <microsandbox/sandbox.h>

#include "sandbox/attach.h"
#include "sandbox/exec_request.h"
#include "sandbox/image_merge.h"
#include "sandbox/lifecycle.h"

namespace msb {
namespace {

constexpr std::chrono::seconds kPingTime{10};
// How long the destructor of an owning handle lets the guest shut down.
constexpr std::chrono::seconds kDropTime{10};

Result<std::unique_ptr<ExecHandle::State>> start_session(const std::string& name, const std::string& command,
                                                         const ExecOptions& options) {
  MSB_TRY(auto request, make_exec_request(command, options));
  MSB_TRY(auto connection, open_agent(name));
  return ExecHandle::State::start(name, std::move(connection), std::move(request), options);
}

}  // namespace

struct [[gnu::visibility("hidden")]] Sandbox::State {
  explicit State(LiveSandbox sandbox) : live(std::move(sandbox)) {}
  ~State() {
    if (!live.process.parent_watch) return;
    // The watch stays open until then: the sandbox is not to begin an orderly end nobody waits for.
    if (keeps_nothing()) {
      (void)kill_sandbox(live.name, live.id);
      return;
    }
    live.process.parent_watch.reset();
    // The sandbox shuts itself down; what does not end in time is ended.
    auto ended = wait_for(live.process.pidfd.get(), POLLIN, deadline_after(kDropTime));
    if (!ended || !*ended) (void)kill_sandbox(live.name, live.id);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // Then an orderly end, with the guest's files written back, would be for nothing.
  bool keeps_nothing() const {
    const SandboxConfig& config = live.stored.config;
    auto is_disk = [](const Mount& mount) { return mount.kind == Mount::Kind::disk && !mount.read_only; };
    return config.ephemeral && config.image.kind != ImageSource::Kind::disk &&
           config.root_disk.kind != RootDisk::Kind::disk && std::ranges::none_of(config.mounts, is_disk);
  }

  LiveSandbox live;
};

Sandbox::Sandbox(std::unique_ptr<State> state) : state_(std::move(state)) {}
Sandbox::Sandbox(Sandbox&&) noexcept = default;
Sandbox& Sandbox::operator=(Sandbox&&) noexcept = default;
Sandbox::~Sandbox() = default;

Result<Sandbox> Sandbox::create(SandboxConfig config, const PullProgress& progress) {
  MSB_TRY(auto live, create_sandbox(std::move(config), progress));
  return Sandbox(std::make_unique<State>(std::move(live)));
}

Result<Sandbox> Sandbox::start(const std::string& name, bool detached) {
  MSB_TRY(auto live, start_sandbox(name, detached));
  return Sandbox(std::make_unique<State>(std::move(live)));
}

Result<Sandbox> Sandbox::connect(const std::string& name) {
  MSB_TRY(auto live, connect_sandbox(name));
  return Sandbox(std::make_unique<State>(std::move(live)));
}

Result<> Sandbox::remove(const std::string& name) {
  return remove_sandbox(name);
}
Result<> Sandbox::stop(const std::string& name, std::chrono::milliseconds timeout) {
  return stop_sandbox(name, timeout);
}
Result<> Sandbox::kill(const std::string& name) {
  return kill_sandbox(name);
}

const std::string& Sandbox::name() const {
  return state_->live.name;
}
bool Sandbox::owns_lifecycle() const {
  return static_cast<bool>(state_->live.process.parent_watch);
}

void Sandbox::detach() {
  Fd watch = std::move(state_->live.process.parent_watch);
  uint8_t detached = 1;
  if (watch) (void)write_full(watch.get(), {&detached, 1});
}

Result<SandboxInfo> Sandbox::info() const {
  return get(state_->live.name);
}
Result<> Sandbox::stop(std::chrono::milliseconds timeout) {
  return stop_sandbox(state_->live.name, timeout, state_->live.id);
}
Result<> Sandbox::kill() {
  return kill_sandbox(state_->live.name, state_->live.id);
}
Result<> Sandbox::finish() {
  return state_->keeps_nothing() ? kill() : stop();
}
Result<SandboxInfo> Sandbox::wait_until_stopped() {
  return wait_for_end(state_->live.name, state_->live.id);
}

Result<std::chrono::nanoseconds> Sandbox::ping() {
  MSB_TRY(auto connection, open_agent(name()));
  auto deadline = deadline_after(kPingTime);
  auto sent = Clock::now();
  MSB_CHECK(connection.write(wire::make_frame(connection.first_id(), wire::kFlagSessionStart, wire::Ping{}), deadline));
  while (true) {
    MSB_TRY(auto frame, connection.receive(deadline));
    MSB_TRY(auto envelope, wire::open_envelope(frame.body));
    if (envelope.type == wire::Pong::kType) return Clock::now() - sent;
  }
}

Result<ExecHandle> Sandbox::exec_stream(const std::string& command, const ExecOptions& options) {
  MSB_TRY(auto session, start_session(name(), command, options));
  return ExecHandle(std::move(session));
}

Result<ExecOutput> Sandbox::exec(const std::string& command, const ExecOptions& options) {
  MSB_TRY(auto handle, exec_stream(command, options));
  return handle.collect();
}

Result<ExecHandle> Sandbox::shell_stream(const std::string& script, const ExecOptions& options) {
  ExecOptions with_script = options;
  // Further arguments become the script's $0, $1 and so on.
  with_script.args.insert(with_script.args.begin(), {"-c", script});
  return exec_stream(shell_path(), with_script);
}

Result<ExecOutput> Sandbox::shell(const std::string& script, const ExecOptions& options) {
  MSB_TRY(auto handle, shell_stream(script, options));
  return handle.collect();
}

Result<std::vector<std::string>> Sandbox::default_command(
    const std::optional<std::vector<std::string>>& override) const {
  const StoredConfig& stored = state_->live.stored;
  return resolve_command(merge(stored.image, stored.config), override);
}

Result<ExecHandle> Sandbox::exec_default_stream(const ExecOptions& options) {
  // Arguments in the options replace the image's command, as they would on a command line.
  MSB_TRY(auto argv, default_command(options.args.empty() ? std::nullopt : std::optional(options.args)));
  ExecOptions rest = options;
  rest.args.assign(argv.begin() + 1, argv.end());
  return exec_stream(argv.front(), rest);
}

Result<ExecOutput> Sandbox::exec_default(const ExecOptions& options) {
  MSB_TRY(auto handle, exec_default_stream(options));
  return handle.collect();
}

const std::string& Sandbox::shell_path() const {
  return state_->live.stored.config.shell;
}

Result<AttachOutcome> Sandbox::attach(const std::string& command, const AttachOptions& options) {
  TerminalFds terminal{STDIN_FILENO, STDOUT_FILENO};
  if (!::isatty(terminal.input))
    return fail(Error(ErrorKind::terminal, "standard input is not a terminal")
                    .hint("run it in a terminal, or run the command without one (no --tty)"));
  MSB_CHECK(validate_detach_keys(options.detach_keys));
  MSB_TRY(auto session, start_session(name(), command, interactive(options.exec, terminal)));
  return run_attached(*session, options.detach_keys, terminal);
}

Result<AttachOutcome> Sandbox::attach_shell(const AttachOptions& options) {
  return attach(shell_path(), options);
}

}  // namespace msb
