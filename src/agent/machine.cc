#include "agent/machine.h"

#include <netinet/in.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <ctime>

#include "agent/etc_files.h"
#include "agent/mounts.h"
#include "agent/network.h"

namespace msb::agent {
namespace {

// What programs expect: more than 1024 at the start breaks those that use select(2).
constexpr rlimit kProcessFiles{1024, 524288};
constexpr rlimit kOwnFiles{1048576, 1048576};

wire::BootFailed failed(std::string stage, const Error& error) {
  return {std::move(stage), error.to_string(), error.errnum()};
}

// Starting a CPU takes the kernel a while: a process of its own does it beside the rest. -1: there is none.
pid_t begin_to_bring_up_cpus(uint32_t count) {
  if (count <= 1) return -1;
  const pid_t child = ::fork();
  if (child != 0) return child;
  for (uint32_t cpu = 1; cpu < count; ++cpu) {
    auto fd = open_file(cat("/sys/devices/system/cpu/cpu", cpu, "/online"), O_WRONLY);
    if (!fd) continue;
    if (auto written = write_full(fd->get(), as_bytes("1")); !written)
      kernel_log(cat("CPU ", cpu, ": ", written.error().to_string()));
  }
  ::_exit(0);
}

void wait_for(pid_t child) {
  while (child > 0 && ::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void set_kernel(const char* path, std::string_view value) {
  auto fd = open_file(path, O_WRONLY | O_NONBLOCK);
  if (fd) (void)write_full(fd->get(), as_bytes(value));
}

// A guest without work shall sleep. Here because the same as words of the kernel costs 18 ms of boot.
void let_the_kernel_sleep() {
  // Else it looks twice a second whether memory should be compacted ahead of need. Compaction on need stays.
  set_kernel("/proc/sys/vm/compaction_proactiveness", "0");
  // Seconds between two foldings of the processors' counters. Every second, the worker that does it starts the
  // scheduler's watch over fair tasks, whose timer wakes the processor just in time for the worker's next turn.
  set_kernel("/proc/sys/vm/stat_interval", "60");
}

}  // namespace

Result<> raise_own_limits() {
  if (::setrlimit(RLIMIT_NOFILE, &kOwnFiles) < 0) return fail_errno("raise the limit of open files");
  return {};
}

void kernel_log(std::string_view message) {
  auto fd = open_file("/dev/kmsg", O_WRONLY);
  // Level 3: shown on the console even with "quiet".
  if (fd) (void)write_full(fd->get(), as_bytes(cat("<3>msb-agent: ", message, '\n')));
}

std::optional<wire::BootFailed> Machine::set_up(const wire::Bootstrap& bootstrap) {
  if (bootstrap.unix_time_nanos) set_clock(bootstrap.unix_time_nanos);
  if (auto entered = root_.enter(bootstrap.root); !entered) return failed("mount", entered.error());
  if (auto mounted = mount_base(bootstrap.tmp_bytes); !mounted) return failed("mount", mounted.error());
  if (auto mounted = mount_extra(bootstrap.mounts); !mounted) return failed("mount", mounted.error());
  mounts_ = bootstrap.mounts;
  const std::string& name = bootstrap.hostname;
  if (!name.empty() && ::sethostname(name.data(), name.size()) < 0)
    return failed("config", Error::from_errno(errno, cat("set the host name to ", name)));
  if (!bootstrap.workdir.empty()) {
    if (auto made = make_directories(bootstrap.workdir); !made) return failed("config", made.error());
  }
  return std::nullopt;
}

void Machine::after_ready(const wire::Bootstrap& bootstrap) {
  const pid_t cpus = begin_to_bring_up_cpus(bootstrap.cpus);
  let_the_kernel_sleep();
  mount_late();
  if (auto up = bring_up_loopback(); !up) kernel_log(up.error().to_string());
  std::vector<std::string> gateways;
  if (bootstrap.network) {
    if (auto up = bring_up_network(*bootstrap.network); !up) kernel_log(up.error().to_string());
    // The gateway reaches what listens on 127.0.0.1, where its port is published.
    set_kernel("/proc/sys/net/ipv4/conf/eth0/route_localnet", "1");
    for (const auto& address : bootstrap.network->addresses) gateways.push_back(address.gateway);
  }
  // An image may have no /etc at all; and on a read-only root there is nothing to be done.
  auto merged = make_directories("/etc");
  if (merged) merged = merge_etc_files("/etc", {bootstrap.hostname, gateways, bootstrap.nameservers});
  if (!merged && merged.error().errnum() != EROFS) kernel_log(merged.error().to_string());
  // The first command, which comes after this, sees all that it was given.
  wait_for(cpus);
}

std::vector<Limit> Machine::base_limits() const {
  return {{RLIMIT_NOFILE, kProcessFiles}};
}

void Machine::set_clock(uint64_t unix_time_nanos) {
  timespec time{};
  time.tv_sec = static_cast<time_t>(unix_time_nanos / 1'000'000'000);
  time.tv_nsec = static_cast<long>(unix_time_nanos % 1'000'000'000);
  if (::clock_settime(CLOCK_REALTIME, &time) < 0) kernel_log("the clock could not be set");
}

void Machine::signal_all(int signal) {
  ::kill(-1, signal);
}

void Machine::power_off() {
  // Remounting waits for grace periods of RCU, whose normal ones take three ticks of a processor that has nothing to
  // do.
  set_kernel("/sys/kernel/rcu_expedited", "1");
  unmount_extra(mounts_);
  root_.make_read_only();
  // Without ACPI there is no way to switch off: a reset ends the machine, which the host runs with -no-reboot.
  ::reboot(RB_AUTOBOOT);
  while (true) ::pause();
}

}  // namespace msb::agent
