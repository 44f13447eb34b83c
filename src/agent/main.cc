// msb-agent: PID 1 of every guest.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

#include "agent/agent.h"
#include "agent/machine.h"
#include "agent/mounts.h"
#include "agent/port.h"

namespace msb::agent {
namespace {

// The name the host gives the agent's port.
constexpr std::string_view kPortName = "agent";
// How long processes get when the guest itself asks to be switched off.
constexpr uint32_t kOwnGraceMs = 2000;

uint64_t boot_time_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

// Descriptors 0-2 must exist: what the agent opens later must not take their numbers.
Result<> fill_standard_descriptors() {
  MSB_TRY(Fd null, open_file("/dev/null", O_RDWR));
  for (int fd = 0; fd < 3; ++fd) {
    if (null.get() != fd && ::fcntl(fd, F_GETFD) < 0) ::dup2(null.get(), fd);
  }
  // When it became one of them itself, it stays.
  if (null.get() < 3) (void)null.release();
  return {};
}

Result<> serve(Machine& machine) {
  ::umask(022);
  MSB_CHECK(mount_early());
  MSB_CHECK(fill_standard_descriptors());
  MSB_CHECK(raise_own_limits());
  MSB_TRY(auto reactor, Reactor::create());
  MSB_TRY(auto port, open_port(kPortName));
  MSB_TRY(auto agent, Agent::create(*reactor, std::move(port), machine));
  // What reboot(8), halt(8) and poweroff(8) of the usual tools send to PID 1.
  MSB_TRY(auto signals, SignalWatch::create(*reactor, {SIGTERM, SIGINT, SIGUSR1, SIGUSR2},
                                            [&](int) { agent->shut_down(kOwnGraceMs); }));
  return reactor->run();
}

}  // namespace
}  // namespace msb::agent

int main() {
  using namespace msb::agent;
  Machine machine(boot_time_ns());
  auto outcome = serve(machine);
  // No way to tell the host but the kernel's log.
  kernel_log(msb::cat("cannot run: ", outcome ? std::string("the event loop ended") : outcome.error().to_string()));
  machine.power_off();
}
