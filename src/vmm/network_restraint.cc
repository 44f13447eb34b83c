// The walls round the thread that has the guest's network.
#include <limits.h>
#include <linux/capability.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "base/temp_dir.h"
#include "fence/self_restraint.h"
#include "vmm/network.h"

namespace msb::vmm {
namespace {

using fence::PathGrant;
using fence::SeccompPolicy;

constexpr const char* kAllowed[] = {
    // Sockets: of which families is said below.
    "connect", "bind", "accept4", "sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "setsockopt",
    "getsockopt", "getsockname", "getpeername", "shutdown",
    // The log, and the host's list of name servers: where those are is Landlock's affair.
    "open", "openat", "close", "read", "write", "readv", "writev", "lseek", "fstat", "stat", "lstat", "newfstatat",
    "statx", "readlink", "readlinkat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "fcntl",
    // Waiting and time.
    "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2", "timerfd_create", "timerfd_settime",
    "clock_gettime", "gettimeofday", "restart_syscall",
    // Memory, and the end of the thread or the process.
    "mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "futex", "set_robust_list", "rseq", "sigaltstack",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "gettid", "getpid", "sched_yield", "sched_getaffinity", "exit",
    "exit_group", "getrandom",
    // UndefinedBehaviorSanitizer looks by a pipe whether it may read an object.
    "pipe2"};

// /etc/resolv.conf may be replaced at any time by another file, or be a link to one that is.
std::vector<PathGrant> name_server_files() {
  constexpr const char* kFile = "/etc/resolv.conf";
  std::vector<PathGrant> grants;
  char* real = ::realpath(kFile, nullptr);
  if (!real) return grants;
  const std::string target = real;
  std::free(real);
  const std::string directory = target.substr(0, target.rfind('/'));
  // Root can read secrets in /etc: then it has to be this very file.
  if (::geteuid() != 0 && path_exists("/etc")) grants.push_back({"/etc", PathGrant::Access::browse});
  if (directory != "/etc" && !directory.empty())
    grants.push_back({directory, PathGrant::Access::browse});
  else
    grants.push_back({target, PathGrant::Access::read});
  return grants;
}

// Root's thread needs none of what root may do: its sockets are an ordinary user's.
Result<> drop_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2]{};
  if (::syscall(SYS_capset, &header, none) < 0) return fail_errno("drop a thread's capabilities");
  return {};
}

}  // namespace

SeccompPolicy network_system_calls() {
  constexpr uint64_t kLow = 0xffffffff;
  SeccompPolicy policy;
  policy.allowed.assign(std::begin(kAllowed), std::end(kAllowed));
  policy.shapes = {{"socket", 0, kLow, AF_INET},
                   {"socket", 0, kLow, AF_INET6},
                   {"tgkill", 0, kLow, static_cast<uint32_t>(::getpid())}};  // abort()
  policy.frequent = {"epoll_wait", "readv", "writev", "recvfrom", "sendto", "epoll_ctl"};
  return policy;
}

Result<fence::WallReports> restrain_network_thread(const std::string& logs) {
  MSB_TRY(auto filter, fence::build_seccomp_filter(network_system_calls()));
  auto grants = name_server_files();
  grants.push_back({logs, PathGrant::Access::manage});
  fence::WallReports reports;
  MSB_TRY(auto paths, fence::restrict_paths(grants, fence::TcpPorts::all));
  reports.push_back(std::move(paths));
  MSB_CHECK(drop_capabilities());
  MSB_TRY(auto calls, fence::restrict_calls(filter));
  reports.push_back(std::move(calls));
  return reports;
}

}  // namespace msb::vmm
