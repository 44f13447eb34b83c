#include "qemu/portable_machine.h"

#include <sys/mman.h>
#include <unistd.h>

#include <csignal>

#include "disk/disk_lock.h"
#include "fence/fence.h"
#include "qemu/block_stats.h"
#include "qemu/command_line.h"
#include "qemu/system_calls.h"

namespace msb::qemu {
namespace {

constexpr size_t kStderrTail = 65536;

// A memory file as QEMU wants it: open for reading only, like the descriptor of any read-only disk.
Result<Fd> read_only_memfd(std::string_view contents) {
  MSB_TRY(Fd file, make_memfd("disk", as_bytes(contents)));
  return open_file(cat("/proc/self/fd/", file.get()), O_RDONLY);
}

Result<std::vector<Fd>> open_disk_files(const std::vector<DiskFile>& files) {
  std::vector<Fd> opened;
  for (const auto& file : files) {
    MSB_TRY(Fd fd, file.path.empty() ? read_only_memfd(file.contents) : disk::open_disk(file.path, file.access));
    opened.push_back(std::move(fd));
  }
  return opened;
}

struct Channel {
  Fd ours;
  Fd theirs;
};

Result<Channel> make_channel() {
  MSB_TRY(SocketPair pair, make_socket_pair());
  MSB_CHECK(set_blocking(pair.first.get(), Blocking::no));
  return Channel{std::move(pair.first), std::move(pair.second)};
}

// QEMU's last words, without its own name in front.
std::string last_line(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  if (size_t start = text.rfind('\n'); start != std::string_view::npos) text.remove_prefix(start + 1);
  if (size_t name = text.find("qemu-system-x86_64: "); name != std::string_view::npos) text.remove_prefix(name + 20);
  return std::string(text);
}

}  // namespace

Error MachineExit::to_error() const {
  std::string said = last_line(stderr_tail);
  std::string message;
  if (status.signal == SIGSYS) {
    message = "QEMU was killed because it made a system call that its fence forbids";
  } else if (status.signal != 0) {
    message = cat("QEMU was killed by signal ", status.signal, " (", ::sigabbrev_np(status.signal), ")");
  } else {
    message = cat("QEMU ended with code ", status.code);
  }
  if (!said.empty()) message += ": " + said;
  Error error(ErrorKind::runtime, std::move(message));
  if (status.signal == SIGKILL)
    error.hint("If nobody did that on purpose, the host probably ran out of memory: see dmesg.");
  if (said.find("cannot set up guest memory") != std::string::npos)
    error.hint("The host has too little free memory for this sandbox.");
  return error;
}

PortableMachine::PortableMachine(const QemuProgram& program, MachineObserver observer)
    : program_(program), observer_(std::move(observer)) {}

PortableMachine::~PortableMachine() = default;

Result<std::unique_ptr<PortableMachine>> PortableMachine::start(Reactor& reactor, const state::MachineSpec& spec,
                                                                const QemuProgram& qemu, MachineObserver observer,
                                                                const MachineOptions& options) {
  MSB_TRY(auto sizes, state::check_machine(spec));
  MSB_TRY(QemuCommand command, build_command({spec, qemu, std::move(sizes), options.tb_size_mib, options.guest_log,
                                              options.extra_kernel_words}));
  MSB_TRY(std::vector<Fd> disks, open_disk_files(command.disk_files));
  MSB_TRY(Channel agent, make_channel());
  MSB_TRY(Channel console, make_channel());
  MSB_TRY(Channel qmp, make_channel());
  MSB_TRY(Pipe errors, make_pipe());
  MSB_CHECK(set_blocking(errors.read.get(), Blocking::no));
  MSB_TRY(Fd null, open_file("/dev/null"));

  fence::FencedCommand fenced;
  fenced.argv = std::move(command.argv);
  fenced.env = std::move(command.env);
  fenced.cgroup = options.cgroup;
  fenced.files = std::move(command.files);
  MSB_TRY(fenced.seccomp, fence::build_seccomp_filter(
                              system_call_policy(command.share_fd ? GuestMemoryKind::shared : GuestMemoryKind::own)));
  fenced.fds = {{null.get(), 0},
                {errors.write.get(), 1},
                {errors.write.get(), 2},
                {agent.theirs.get(), kAgentFd},
                {console.theirs.get(), kConsoleFd},
                {qmp.theirs.get(), kQmpFd}};
  for (size_t i = 0; i < disks.size(); ++i) fenced.fds.emplace_back(disks[i].get(), command.disk_files[i].number);
  if (command.share_fd) fenced.fds.emplace_back(options.share_socket, *command.share_fd);
  if (command.network_fd) fenced.fds.emplace_back(options.network_socket, *command.network_fd);
  MSB_TRY(fence::FencedChild child, fence::start_fenced(fenced));

  std::unique_ptr<PortableMachine> machine(new PortableMachine(qemu, std::move(observer)));
  machine->child_ = std::move(child.child);
  machine->walls_ = std::move(child.walls);
  machine->agent_ = std::move(agent.ours);
  machine->console_ = std::move(console.ours);
  machine->stderr_ = std::move(errors.read);
  MSB_TRY(machine->qmp_, QmpClient::create(reactor, std::move(qmp.ours),
                                           [raw = machine.get()](const QmpEvent& event) { raw->on_event(event); }));
  MSB_CHECK(machine->watch(reactor));
  return machine;
}

Result<> PortableMachine::watch(Reactor& reactor) {
  MSB_TRY(stderr_watch_, reactor.watch(stderr_.get(), EPOLLIN, [this](uint32_t) { read_stderr(); }));
  MSB_TRY(exit_watch_, reactor.watch(child_.pidfd(), EPOLLIN, [this](uint32_t) { finish(); }));
  return {};
}

void PortableMachine::read_stderr() {
  char buffer[4096];
  while (true) {
    auto count = read_some(stderr_.get(), {reinterpret_cast<uint8_t*>(buffer), sizeof(buffer)});
    if (!count) return;  // nothing more for now
    if (*count == 0) return stderr_watch_.reset();
    stderr_tail_.append(buffer, *count);
    if (stderr_tail_.size() > 2 * kStderrTail) stderr_tail_.erase(0, stderr_tail_.size() - kStderrTail);
  }
}

void PortableMachine::on_event(const QmpEvent& event) {
  if (event.name == "SHUTDOWN") {
    auto guest = event.data.find("guest");
    guest_ended_ = guest != event.data.end() && guest->is_boolean() && guest->get<bool>();
  }
  if (auto handler = observer_.on_event) handler(event);
}

void PortableMachine::finish() {
  read_stderr();
  stderr_watch_.reset();
  // What the guest's end was is said on QMP just before: read that first. Its observer must not destroy us now.
  auto on_event_later = std::exchange(observer_.on_event, nullptr);
  qmp_->drain();
  exit_watch_.reset();
  MachineExit exit;
  if (auto status = child_.wait()) exit.status = *status;
  if (stderr_tail_.size() > kStderrTail) stderr_tail_.erase(0, stderr_tail_.size() - kStderrTail);
  exit.stderr_tail = std::move(stderr_tail_);
  if (requested_)
    exit.cause = MachineExit::Cause::requested;
  else if (exit.status.signal != 0)
    exit.cause = MachineExit::Cause::killed;
  else if (exit.status.code == 0 && guest_ended_)
    exit.cause = MachineExit::Cause::guest;
  else
    exit.cause = MachineExit::Cause::failed;
  if (auto handler = std::move(observer_.on_exit)) handler(exit);
}

void PortableMachine::quit() {
  requested_ = true;
  qmp_->execute("quit", {});
}

void PortableMachine::kill() {
  requested_ = true;
  if (child_) (void)child_.signal(SIGKILL);
}

void PortableMachine::pause(QmpReply done) {
  qmp_->execute("stop", std::move(done));
}
void PortableMachine::resume(QmpReply done) {
  qmp_->execute("cont", std::move(done));
}
void PortableMachine::measure_disks(disk::TrafficReply reply) {
  qmp_->execute("query-blockstats", [reply = std::move(reply)](Result<nlohmann::json> answer) {
    reply(answer.and_then(parse_block_stats));
  });
}

Result<fence::WallReports> probe_walls(const QemuProgram& qemu) {
  MSB_TRY(Fd null, open_file("/dev/null", O_RDWR));
  Fd errors(::memfd_create("stderr", MFD_CLOEXEC));
  if (!errors) return fail_errno("create a memory file");
  fence::FencedCommand command;
  command.argv = {qemu.binary.path, "--version"};
  command.env = qemu_environment(qemu);
  command.files = qemu_files(qemu);
  MSB_TRY(command.seccomp, fence::build_seccomp_filter(system_call_policy()));
  command.fds = {{null.get(), 0}, {null.get(), 1}, {errors.get(), 2}};
  MSB_TRY(fence::FencedChild fenced, fence::start_fenced(command));
  MachineExit exit;
  MSB_TRY(exit.status, fenced.child.wait());
  if (exit.status.success()) return std::move(fenced.walls);
  ::lseek(errors.get(), 0, SEEK_SET);
  if (auto said = read_all(errors.get(), kStderrTail)) exit.stderr_tail = as_text(*said);
  return fail(exit.to_error().context("start QEMU in its fence"));
}

}  // namespace msb::qemu
