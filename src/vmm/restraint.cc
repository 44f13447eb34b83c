#include "vmm/restraint.h"

#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "fence/self_restraint.h"
#include "state/cgroup_trace.h"

namespace msb::vmm {
namespace {

using fence::PathGrant;
using fence::SeccompPolicy;

constexpr const char* kAllowed[] = {
    // Files: which ones is Landlock's affair.
    "read", "write", "readv", "writev", "pread64", "pwrite64", "lseek", "close", "close_range", "open", "openat",
    "openat2", "access", "faccessat", "faccessat2", "stat", "lstat", "fstat", "newfstatat", "statx", "statfs",
    "fstatfs", "readlink", "readlinkat", "getcwd", "getdents64", "dup", "dup2", "dup3", "fcntl", "flock", "fsync",
    "fdatasync", "fallocate", "ftruncate", "fchmod", "fchown", "umask", "mkdir", "mkdirat", "rmdir", "unlink",
    "unlinkat", "rename", "renameat", "renameat2", "utimensat", "pipe2",
    // Sockets: the relay's, and those of the machine.
    "bind", "listen", "accept4", "sendmsg", "recvmsg", "sendto", "recvfrom", "getsockopt", "setsockopt", "getsockname",
    "getpeername", "shutdown",
    // Waiting and time.
    "poll", "ppoll", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2", "signalfd4",
    "timerfd_create", "timerfd_settime", "timerfd_gettime", "clock_gettime", "clock_nanosleep", "nanosleep",
    "gettimeofday", "time", "restart_syscall",
    // Memory.
    "mmap", "munmap", "mprotect", "mremap", "madvise", "brk",
    // Threads and signals within the process; the end of the machine's process, by a descriptor it already has.
    "futex", "set_robust_list", "rseq", "set_tid_address", "gettid", "getpid", "getppid", "sched_yield",
    "sched_getaffinity", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "exit", "exit_group",
    "pidfd_send_signal", "waitid", "wait4",
    // Facts about itself.
    "getrandom", "getuid", "geteuid", "getgid", "getegid", "getrusage", "sysinfo", "uname"};

}  // namespace

SeccompPolicy vmm_system_calls() {
  constexpr uint64_t kWhole = ~uint64_t{0}, kLow = 0xffffffff;
  SeccompPolicy policy;
  policy.allowed.assign(std::begin(kAllowed), std::end(kAllowed));
  policy.refused = {{"clone3", ENOSYS}, {"execve", EPERM}, {"execveat", EPERM}, {"chmod", EPERM}, {"chown", EPERM}};
  policy.shapes = {{"clone", 0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM},
                   {"tgkill", 0, kLow, static_cast<uint32_t>(::getpid())},  // abort() and raise()
                   {"socket", 0, kLow, AF_UNIX},
                   {"prlimit64", 2, kWhole, 0},
                   {"prctl", 0, kWhole, PR_SET_NAME},
                   {"prctl", 0, kWhole, PR_SET_SECCOMP},  // a further filter: only ever takes away
                   {"prctl", 0, kWhole, PR_SET_VMA},
                   {"ioctl", 1, kLow, 0x5401},   // TCGETS
                   {"ioctl", 1, kLow, 0x541b},   // FIONREAD
                   {"ioctl", 1, kLow, 0x5421}};  // FIONBIO
  policy.other_shapes = SeccompPolicy::OtherShapes::refuse;
  policy.frequent = {"epoll_wait", "read", "write", "recvmsg", "sendmsg"};
  return policy;
}

Result<fence::WallReports> restrain_vmm_process(const state::Home& home, const std::string& sandbox) {
  using Access = PathGrant::Access;
  MSB_TRY(auto filter, fence::build_seccomp_filter(vmm_system_calls()));
  MSB_CHECK(home.make_dir(home.run_dir()));
  MSB_CHECK(home.make_dir(home.trash_dir()));

  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  fence::WallReports reports;
  std::vector<PathGrant> grants{
      {home.sandbox_dir(sandbox), Access::manage},
      {home.sandboxes_dir(), Access::arrange},
      // Where a sandbox's directory goes to be removed.
      {home.trash_dir(), Access::manage},
      {home.run_dir(), Access::manage},
      {home.database(), Access::modify},
      {home.database() + "-wal", Access::modify},
      {home.database() + "-shm", Access::modify},
      {"/dev/null", Access::modify},
      {"/dev/urandom", Access::read},
  };
  // The machine's control group is removed when the machine has ended.
  if (std::string group = state::traced_cgroup(home.cgroup_trace(sandbox)); !group.empty())
    grants.push_back({group.substr(0, group.rfind('/')), Access::prune});
  MSB_TRY(auto paths, fence::restrict_paths(grants));
  reports.push_back(std::move(paths));
  MSB_TRY(auto calls, fence::restrict_calls(filter));
  reports.push_back(std::move(calls));
  return reports;
}

}  // namespace msb::vmm
