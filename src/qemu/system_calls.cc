#include "qemu/system_calls.h"

#include <linux/sched.h>
#include <sys/prctl.h>

#include <cerrno>

namespace msb::qemu {
namespace {

using fence::SeccompPolicy;

// From strace of QEMU 7.2 and 10 in every use the machine makes of them, plus what the C library may use in place of
// those (open for openat, poll for ppoll ...). No entry opens a way out: there is no socket to create or connect, no
// process to start, inspect or signal, no mount, no key, no BPF program.
constexpr const char* kAllowed[] = {
    // Descriptors the machine was given, and the few files of the empty root.
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "lseek",
    "close", "open", "openat", "access", "faccessat", "faccessat2", "stat", "lstat", "fstat", "newfstatat", "statx",
    "statfs", "fstatfs", "readlink", "readlinkat", "getcwd", "fchdir", "getdents64", "dup", "dup2", "dup3", "fcntl",
    "pipe2", "close_range", "fsync", "fdatasync", "sync_file_range", "fallocate", "ftruncate", "fadvise64",
    "copy_file_range",
    // Sockets: only those that exist already.
    "sendmsg", "recvmsg", "sendto", "recvfrom", "getsockopt", "setsockopt", "getsockname", "getpeername", "shutdown",
    // Waiting and time.
    "poll", "ppoll", "select", "pselect6", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2",
    "eventfd2", "signalfd4", "timerfd_create", "timerfd_settime", "timerfd_gettime", "clock_gettime", "clock_getres",
    "clock_nanosleep", "nanosleep", "gettimeofday", "time", "restart_syscall",
    // Memory.
    "mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "msync", "mincore", "membarrier",
    // Threads and signals within the process.
    "futex", "set_robust_list", "get_robust_list", "rseq", "set_tid_address", "arch_prctl", "gettid", "getpid",
    "getppid", "sched_yield", "sched_getaffinity", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending",
    "rt_sigtimedwait", "rt_sigsuspend", "sigaltstack", "tgkill", "exit", "exit_group",
    // Facts about itself and the host.
    "getrandom", "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getrusage", "sysinfo", "uname",
    "getcpu", "seccomp", "execve"};

// Libraries try these at start and have another way when they are refused.
constexpr SeccompPolicy::Refused kRefused[] = {
    {"clone3", ENOSYS},  // its flags are out of the filter's sight; the C library falls back to clone
    {"io_uring_setup", ENOSYS},
    {"userfaultfd", ENOSYS},
    {"set_mempolicy", EPERM},
    {"get_mempolicy", EPERM},
    {"mbind", EPERM},
    {"mlock", EPERM},
    {"mlockall", EPERM},
    {"sched_setaffinity", EPERM},
    {"sched_setscheduler", EPERM},
    {"sched_setattr", EPERM},
    {"sched_getattr", ENOSYS},
    {"sched_getscheduler", EPERM},
    {"sched_getparam", EPERM},
    {"setpriority", EPERM},
    {"getpriority", EPERM},
    {"unlink", EROFS},
    {"mkdir", EROFS},
    {"chdir", EPERM},
    {"pidfd_open", ENOSYS},
    {"futex_waitv", ENOSYS},
    {"fgetxattr", ENOTSUP},
    {"getxattr", ENOTSUP},
    {"fchmod", EPERM},
};

// The options of prctl that a library may use on its own process.
constexpr uint64_t kPrctlOptions[] = {PR_SET_NAME,         PR_GET_NAME,    PR_SET_TIMERSLACK, PR_SET_NO_NEW_PRIVS,
                                      PR_GET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_GET_SECCOMP,    PR_CAPBSET_READ,
                                      PR_GET_DUMPABLE,     PR_MCE_KILL};

// TCGETS, FIONREAD, FIONBIO: is this a terminal, how much is there, do not block. Drivers see no other request.
constexpr uint64_t kIoctlRequests[] = {0x5401, 0x541b, 0x5421};

}  // namespace

SeccompPolicy system_call_policy(GuestMemoryKind memory) {
  constexpr uint64_t kWhole = ~uint64_t{0}, kLow = 0xffffffff;
  SeccompPolicy policy;
  policy.allowed.assign(std::begin(kAllowed), std::end(kAllowed));
  policy.refused.assign(std::begin(kRefused), std::end(kRefused));
  if (memory == GuestMemoryKind::shared)
    policy.allowed.push_back("memfd_create");
  else
    policy.refused.push_back({"memfd_create", ENOSYS});
  // Threads of this process, not processes.
  policy.shapes.push_back({"clone", 0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM});
  // Limits may be read, not set.
  policy.shapes.push_back({"prlimit64", 2, kWhole, 0});
  for (uint64_t option : kPrctlOptions) policy.shapes.push_back({"prctl", 0, kWhole, option});
  for (uint64_t request : kIoctlRequests) policy.shapes.push_back({"ioctl", 1, kLow, request});
  policy.other_shapes = SeccompPolicy::OtherShapes::refuse;
  return policy;
}

}  // namespace msb::qemu
