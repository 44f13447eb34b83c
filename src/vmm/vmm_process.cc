#include "vmm/vmm_process.h"

#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "vmm/restraint.h"
#include "vmm/supervisor.h"

namespace msb::vmm {
namespace {

using state::kLaunchConfigFd;
using state::kLifecycleLockFd;
using state::kParentWatchFd;
using state::kStartupFd;

// 1024 clients and what the process itself needs.
constexpr rlim_t kDescriptors = 4096;
constexpr size_t kMaxConfig = size_t{16} << 20;

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

// The least this process can do with: no descriptors but the known, no new privileges, no core dumps.
void shed() {
  ::close_range(kParentWatchFd + 1, ~0U, 0);
  for (int fd = kLaunchConfigFd; fd <= kParentWatchFd; ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  // A closed standard stream would be reused by the next open() and get what is meant for it.
  for (int fd = 0; fd <= 2; ++fd)
    if (!is_open(fd)) (void)::open("/dev/null", O_RDWR);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  ::signal(SIGPIPE, SIG_IGN);
  ::umask(0077);
  rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = std::min(files.rlim_max, kDescriptors);
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
}

Result<std::unique_ptr<Supervisor>> prepare(Fd& startup) {
  SupervisorInput input;
  if (!is_open(kLaunchConfigFd) || !is_open(kLifecycleLockFd))
    return fail(ErrorKind::invalid_config, "this command is internal; use `msb run` or `msb create`");
  Fd config(kLaunchConfigFd);
  ::lseek(config.get(), 0, SEEK_SET);
  MSB_TRY(Bytes text, read_all(config.get(), kMaxConfig));
  MSB_TRY(input.config, state::LaunchConfig::from_json(std::string(as_text(text))));
  Fd parent(is_open(kParentWatchFd) ? kParentWatchFd : -1);
  if (input.config.attached) input.parent_watch = std::move(parent);
  input.factory = build_machine;
  input.restrain = [path = input.config.home, name = input.config.name]() -> Result<fence::WallReports> {
    MSB_TRY(auto home, state::Home::at(path));
    return restrain_vmm_process(home, name);
  };
  input.startup = std::move(startup);
  return Supervisor::create(std::move(input));
}

}  // namespace

int run_vmm_process() {
  shed();
  Fd startup(is_open(kStartupFd) ? kStartupFd : -1);
  // The lock is on the open file, not on this number: it is held until the process ends.
  Fd report_fallback;
  if (startup)
    if (auto copy = startup.duplicate()) report_fallback = std::move(*copy);
  auto supervisor = prepare(startup);
  if (!supervisor) {
    auto report = failure_report(judge_build_error(supervisor.error()), {});
    if (report_fallback) (void)write_full(report_fallback.get(), as_bytes(report.to_json() + "\n"));
    std::fprintf(stderr, "msb sandbox: %s\n", supervisor.error().to_string().c_str());
    return 2;
  }
  report_fallback.reset();
  return (*supervisor)->run();
}

}  // namespace msb::vmm
