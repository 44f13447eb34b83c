#include "kvm/kvm_process.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "disk/direct_io.h"
#include "disk/disk_lock.h"
#include "disk/qcow2.h"
#include "fs/open_share.h"
#include "kvm/kernel_words.h"
#include "kvm/machine_config.h"
#include "kvm/system_calls.h"
#include "net/address.h"
#include "state/machine_check.h"

namespace msb::kvm {
namespace {

using state::DiskSpec;

constexpr size_t kStderrTail = 65536;
// In one go, so that a child that talks without end cannot keep us from everything else.
constexpr int kPacketsAtOnce = 64;
// What msb-kvm maps beside the guest's memory: stacks, heap, the processors' windows. Mostly never touched.
constexpr uint64_t kOwnMemory = uint64_t{512} << 20, kMemoryPerVcpu = uint64_t{16} << 20;

std::string_view format_name(DiskSpec::Format format) {
  switch (format) {
    case DiskSpec::Format::raw:
      return "raw";
    case DiskSpec::Format::qcow2:
      return "qcow2";
    case DiskSpec::Format::concat:
      return "concat";
  }
  return "raw";
}

struct Channel {
  Fd ours;
  Fd theirs;
};

Result<Channel> make_channel(int type) {
  int fds[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0) return fail_errno("create a socket pair");
  Channel channel{Fd(fds[0]), Fd(fds[1])};
  MSB_CHECK(set_blocking(channel.ours.get(), Blocking::no));
  return channel;
}

// The descriptors the child gets, numbered in the order they are given.
class Inventory {
 public:
  // Closed here when the child has its copy.
  int32_t give(Fd fd) {
    fds_.emplace_back(fd.get(), next_);
    owned_.push_back(std::move(fd));
    return next_++;
  }
  // The same for a directory, which the fence opens.
  int32_t share(const state::ShareSpec& spec, Fd directory) {
    directories_.push_back(
        {.path = spec.path,
         .ours = directory.get(),
         .fd = next_,
         .use = spec.read_only ? fence::FenceDirectory::Use::read : fence::FenceDirectory::Use::modify});
    owned_.push_back(std::move(directory));
    return next_++;
  }
  const std::vector<std::pair<int, int>>& fds() const { return fds_; }
  const std::vector<fence::FenceDirectory>& directories() const { return directories_; }

 private:
  std::vector<Fd> owned_;
  std::vector<std::pair<int, int>> fds_;
  std::vector<fence::FenceDirectory> directories_;
  int next_ = kFirstFreeFd;
};

Result<> check_vcpus(int kvm, uint32_t vcpus) {
  int most = ::ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
  if (most <= 0) most = ::ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_NR_VCPUS);
  if (most <= 0 || vcpus <= static_cast<uint32_t>(most)) return {};
  return fail(Error(ErrorKind::invalid_config,
                    cat("this host's KVM allows ", most, " virtual processors in a machine, not ", vcpus))
                  .hint("Ask for less with --cpus."));
}

Result<DiskConfig> give_disk(const DiskSpec& disk, Inventory& inventory) {
  DiskConfig config{
      .format = std::string(format_name(disk.format)), .fds = {}, .read_only = disk.read_only, .scratch = disk.scratch};
  auto access = disk.read_only ? disk::Access::read_only : disk::Access::read_write;
  for (const auto& file : disk.files) {
    MSB_TRY(Fd fd, disk::open_disk(file, access));
    if (disk.format == DiskSpec::Format::qcow2) MSB_CHECK(disk::inspect_qcow2(file, access));
    // What a scratch disk's guest writes may never reach the host's disk, if it is gone soon.
    Fd direct = disk.read_only || disk.scratch ? Fd() : disk::open_direct(fd.get());
    config.fds.push_back(inventory.give(std::move(fd)));
    if (direct) config.direct_fd = inventory.give(std::move(direct));
  }
  return config;
}

Result<ShareConfig> give_share(const state::ShareSpec& spec, Inventory& inventory) {
  state::ShareSpec directory_only = spec;
  directory_only.quota_bytes = 0;
  MSB_TRY(fs::Share opened, fs::open_share(directory_only));
  ShareConfig config{.name = spec.name,
                     .fd = inventory.share(spec, std::move(opened.root)),
                     .only = spec.only,
                     .read_only = spec.read_only,
                     .protect_hooks = spec.protect_hooks,
                     .ownership = static_cast<uint8_t>(spec.ownership),
                     .host_modes = static_cast<uint8_t>(spec.host_modes),
                     .quota_bytes = spec.quota_bytes};
  if (spec.quota_bytes == 0 || spec.usage.empty()) return config;
  MSB_TRY(Fd usage, fs::open_usage_record(spec.usage, spec.path));
  config.usage_fd = inventory.give(std::move(usage));
  return config;
}

Result<NetworkCardConfig> give_network(const state::NetworkSpec& spec, int socket, Inventory& inventory) {
  MSB_TRY(net::Mac mac, net::Mac::parse(spec.guest_mac));
  Fd cable(::fcntl(socket, F_DUPFD_CLOEXEC, 0));
  if (!cable) return fail_errno("copy the network's cable");
  return NetworkCardConfig{inventory.give(std::move(cable)), {mac.bytes.begin(), mac.bytes.end()}, spec.mtu};
}

std::string kernel_words(const MachineOptions& options) {
  std::string words = kKvmKernelWords;
  if (size_t quiet = words.find(" quiet"); options.guest_log && quiet != std::string::npos) words.erase(quiet, 6);
  if (!options.extra_kernel_words.empty()) words += " " + options.extra_kernel_words;
  return words;
}

uint64_t address_space(const state::MachineSpec& spec, const state::DiskSizes& sizes) {
  uint64_t bytes = kOwnMemory + (uint64_t{spec.memory_mib} << 20) + spec.vcpus * kMemoryPerVcpu;
  // Read-only disks may be mapped for the guest to read without copying.
  for (size_t i = 0; i < sizes.size(); ++i)
    for (uint64_t size : sizes[i])
      if (spec.disks[i].read_only) bytes += size;
  return bytes;
}

Result<fence::FencedCommand> fenced_command(const std::string& program, Shares shares) {
  fence::FencedCommand command;
  command.argv = {program};
  // One heap for all threads: each further one costs memory, and nothing here allocates often.
  command.env = {"GLIBC_TUNABLES=glibc.malloc.arena_max=1"};
  command.files = {{program, fence::FenceFile::Use::execute}};
  MSB_TRY(command.seccomp, fence::build_seccomp_filter(system_call_policy(shares)));
  return command;
}

std::string printable(std::string_view text, size_t limit, bool lines = false) {
  std::string clean(text.substr(0, limit));
  for (char& c : clean)
    if ((c < ' ' || c > '~') && !(lines && c == '\n')) c = '?';
  return clean;
}

// For who only wants to know whether it worked.
auto whether(Reply done) {
  return [done = std::move(done)](Result<Notice> answer) {
    if (done) done(answer.map([](const Notice&) {}));
  };
}

std::string last_line(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  if (size_t start = text.rfind('\n'); start != std::string_view::npos) text.remove_prefix(start + 1);
  return printable(text, 1024);
}

}  // namespace

Result<Notice> parse_notice(ByteView packet) {
  if (packet.size() > kMaxControlMessage) return fail(ErrorKind::protocol, "a notice is too long");
  MSB_TRY(Notice notice, wire::decode<Notice>(packet));
  constexpr std::string_view kKinds[] = {"started", "done", "ended", "warning"};
  if (std::find(std::begin(kKinds), std::end(kKinds), notice.kind) == std::end(kKinds))
    return fail(ErrorKind::protocol, cat("a notice of the unknown kind '", printable(notice.kind, 32), "'"));
  if (notice.kind == "ended" && notice.cause != "guest" && notice.cause != "failed")
    return fail(ErrorKind::protocol, "an end without a cause");
  notice.error = printable(notice.error, 4096);
  notice.message = printable(notice.message, 4096);
  notice.hint = printable(notice.hint, 1024);
  notice.registers = printable(notice.registers, 8192, true);
  if (notice.walls.size() > 16) return fail(ErrorKind::protocol, "too many walls");
  for (auto& wall : notice.walls) wall = printable(wall, 64);
  return notice;
}

Error MachineExit::to_error() const {
  std::string said = message.empty() ? last_line(stderr_tail) : message;
  std::string text;
  if (cause == Cause::failed && !message.empty()) {
    text = "the machine stopped";
  } else if (status.signal == SIGSYS) {
    text = "msb-kvm was killed because it made a system call that its fence forbids";
  } else if (status.signal != 0) {
    text = cat("msb-kvm was killed by signal ", status.signal, " (", ::sigabbrev_np(status.signal), ")");
  } else {
    text = cat("msb-kvm ended with code ", status.code);
  }
  if (!said.empty()) text += ": " + said;
  Error error(ErrorKind::runtime, std::move(text));
  if (!hint.empty()) error.hint(hint);
  if (cause == Cause::killed && status.signal == SIGKILL)
    error.hint("If nobody did that on purpose, the host probably ran out of memory: see dmesg.");
  return error;
}

KvmProcess::KvmProcess(MachineObserver observer) : observer_(std::move(observer)) {}

KvmProcess::~KvmProcess() = default;

Result<std::unique_ptr<KvmProcess>> KvmProcess::start(Reactor& reactor, const state::MachineSpec& spec,
                                                      MachineObserver observer, const MachineOptions& options) {
  MSB_TRY(auto sizes, state::check_machine(spec));
  Inventory inventory;
  MachineConfig config;
  config.vcpus = spec.vcpus;
  config.memory_mib = spec.memory_mib;
  config.kernel_words = kernel_words(options);
  MSB_TRY(Fd device, open_file(options.device, O_RDWR));
  MSB_CHECK(check_vcpus(device.get(), spec.vcpus));
  config.kvm_fd = inventory.give(std::move(device));
  MSB_TRY(Fd kernel, open_file(spec.kernel));
  config.kernel_fd = inventory.give(std::move(kernel));
  MSB_TRY(Fd initramfs, open_file(spec.initramfs));
  config.initramfs_fd = inventory.give(std::move(initramfs));
  MSB_TRY(Channel agent, make_channel(SOCK_STREAM));
  config.agent_fd = inventory.give(std::move(agent.theirs));
  MSB_TRY(Channel console, make_channel(SOCK_STREAM));
  config.console_fd = inventory.give(std::move(console.theirs));
  MSB_TRY(Channel control, make_channel(SOCK_SEQPACKET));
  config.control_fd = inventory.give(std::move(control.theirs));
  for (const auto& disk : spec.disks) {
    MSB_TRY(DiskConfig of_disk, give_disk(disk, inventory));
    config.disks.push_back(std::move(of_disk));
  }
  for (const auto& share : spec.shares) {
    MSB_TRY(ShareConfig of_share, give_share(share, inventory));
    config.shares.push_back(std::move(of_share));
  }
  if (spec.network) {
    MSB_TRY(config.network, give_network(*spec.network, options.network_socket, inventory));
  }
  MSB_TRY(Fd sealed, make_memfd("machine", wire::encode(config)));
  MSB_TRY(Pipe errors, make_pipe());
  MSB_CHECK(set_blocking(errors.read.get(), Blocking::no));
  MSB_TRY(Fd null, open_file("/dev/null"));

  MSB_TRY(auto command, fenced_command(options.program, spec.shares.empty() ? Shares::none : Shares::some));
  command.address_space = address_space(spec, sizes);
  command.cgroup = options.cgroup;
  command.fds = inventory.fds();
  command.directories = inventory.directories();
  command.fds.insert(command.fds.end(),
                     {{null.get(), 0}, {errors.write.get(), 1}, {errors.write.get(), 2}, {sealed.get(), kConfigFd}});
  MSB_TRY(fence::FencedChild child, fence::start_fenced(command));

  std::unique_ptr<KvmProcess> machine(new KvmProcess(std::move(observer)));
  machine->child_ = std::move(child.child);
  machine->walls_ = std::move(child.walls);
  machine->agent_ = std::move(agent.ours);
  machine->console_ = std::move(console.ours);
  machine->control_ = std::move(control.ours);
  machine->stderr_ = std::move(errors.read);
  MSB_CHECK(machine->watch(reactor));
  return machine;
}

Result<> KvmProcess::watch(Reactor& reactor) {
  MSB_TRY(control_watch_, reactor.watch(control_.get(), EPOLLIN, [this](uint32_t) { read_control(); }));
  MSB_TRY(stderr_watch_, reactor.watch(stderr_.get(), EPOLLIN, [this](uint32_t) { read_stderr(); }));
  MSB_TRY(exit_watch_, reactor.watch(child_.pidfd(), EPOLLIN, [this](uint32_t) { finish(); }));
  return {};
}

const std::vector<std::string>& KvmProcess::inner_walls() {
  if (!started_) read_control();
  return inner_walls_;
}

int KvmProcess::read_control() {
  uint8_t packet[kMaxControlMessage + 1];
  int count = 0;
  for (; count < kPacketsAtOnce && !ended_; ++count) {
    // No room for ancillary data: descriptors that somebody sends are dropped by the kernel.
    ssize_t size = ::recv(control_.get(), packet, sizeof(packet), MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) break;
    if (size == 0) {
      control_watch_.reset();
      break;
    }
    auto notice = parse_notice({packet, static_cast<size_t>(size)});
    if (notice)
      on_notice(std::move(*notice));
    else
      give_up(cat("msb-kvm spoke nonsense on its control socket: ", notice.error().message()));
  }
  // Nothing that follows counts, and the socket's end would be reported again and again while msb-kvm puts the machine
  // away.
  if (ended_) control_watch_.reset();
  return count;
}

void KvmProcess::on_notice(Notice notice) {
  if (notice.kind == "started") {
    started_ = true;
    inner_walls_ = std::move(notice.walls);
  } else if (notice.kind == "done") {
    auto found = waiting_.find(notice.id);
    if (found == waiting_.end()) return;
    Answer answer = std::move(found->second);
    waiting_.erase(found);
    if (notice.error.empty())
      answer(std::move(notice));
    else
      answer(fail(ErrorKind::runtime, notice.error));
  } else if (notice.kind == "warning") {
    ++warnings_;
    if (warnings_ == kMaxWarnings + 1) notice.message = "there are more warnings; they are not shown";
    if (warnings_ <= kMaxWarnings + 1 && observer_.on_warning) observer_.on_warning(notice.message);
  } else {
    ended_ = true;
    guest_ended_ = notice.cause == "guest";
    exit_.message = std::move(notice.message);
    exit_.hint = std::move(notice.hint);
    exit_.registers = std::move(notice.registers);
  }
}

// The machine is over; finish() follows when the child has ended.
void KvmProcess::give_up(std::string why) {
  ended_ = true;
  exit_.message = std::move(why);
  control_watch_.reset();
  if (child_) (void)child_.signal(SIGKILL);
}

void KvmProcess::read_stderr() {
  char buffer[4096];
  for (int count = 0; count < kPacketsAtOnce; ++count) {
    auto size = read_some(stderr_.get(), {reinterpret_cast<uint8_t*>(buffer), sizeof(buffer)});
    if (!size) return;  // nothing more for now
    if (*size == 0) return stderr_watch_.reset();
    stderr_tail_.append(buffer, *size);
    if (stderr_tail_.size() > 2 * kStderrTail) stderr_tail_.erase(0, stderr_tail_.size() - kStderrTail);
  }
}

void KvmProcess::finish() {
  read_stderr();
  // What is left is bounded by the socket's buffer: nobody writes any more.
  while (control_watch_ && !ended_ && read_control() == kPacketsAtOnce) {
  }
  stderr_watch_.reset();
  control_watch_.reset();
  exit_watch_.reset();
  if (auto status = child_.wait()) exit_.status = *status;
  if (stderr_tail_.size() > kStderrTail) stderr_tail_.erase(0, stderr_tail_.size() - kStderrTail);
  exit_.stderr_tail = std::move(stderr_tail_);
  if (requested_)
    exit_.cause = MachineExit::Cause::requested;
  else if (guest_ended_ && exit_.status.success())
    exit_.cause = MachineExit::Cause::guest;
  else if (exit_.status.signal != 0 && exit_.message.empty())
    exit_.cause = MachineExit::Cause::killed;
  else
    exit_.cause = MachineExit::Cause::failed;
  for (auto& [id, answer] : std::exchange(waiting_, {})) answer(fail(ErrorKind::runtime, "the machine has ended"));
  if (auto handler = std::move(observer_.on_exit)) handler(exit_);
}

void KvmProcess::kill() {
  requested_ = true;
  if (child_) (void)child_.signal(SIGKILL);
}

void KvmProcess::request(Request request, Answer answer) {
  request.id = ++last_request_;
  Bytes packet = wire::encode(request);
  ssize_t sent = ::send(control_.get(), packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) {
    answer(fail_errno(cat("ask msb-kvm to ", request.kind)));
    return;
  }
  waiting_.emplace(request.id, std::move(answer));
}

void KvmProcess::pause(Reply done) {
  request({.kind = "pause"}, whether(std::move(done)));
}
void KvmProcess::resume(Reply done) {
  request({.kind = "resume"}, whether(std::move(done)));
}
void KvmProcess::balloon(uint64_t mib, Reply done) {
  request({.kind = "balloon", .balloon_mib = mib}, whether(std::move(done)));
}
void KvmProcess::measure_disks(disk::TrafficReply reply) {
  request({.kind = "measure"}, [reply = std::move(reply)](Result<Notice> answer) {
    reply(answer.map(
        [](const Notice& notice) { return disk::DiskTraffic{notice.disk_read_bytes, notice.disk_written_bytes}; }));
  });
}

Result<fence::WallReports> probe_walls(const std::string& program) {
  MSB_TRY(Fd null, open_file("/dev/null", O_RDWR));
  MSB_TRY(auto command, fenced_command(program, Shares::none));
  command.fds = {{null.get(), 0}, {null.get(), 1}, {null.get(), 2}};
  MSB_TRY(fence::FencedChild child, fence::start_fenced(command));
  return std::move(child.walls);
}

}  // namespace msb::kvm
