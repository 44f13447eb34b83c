#include "kvm/system_calls.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <cerrno>

namespace msb::kvm {
namespace {

using fence::SeccompPolicy;

constexpr const char* kAllowed[] = {
    // The start of a static program, once.
    "execve", "arch_prctl", "set_tid_address", "set_robust_list", "rseq", "readlink", "readlinkat", "uname",
    "sched_getaffinity", "getuid", "geteuid", "getgid", "getegid", "getppid", "capget",
    // Building the machine: its memory and its events. Descriptors of files come from outside.
    "ftruncate", "eventfd2", "epoll_create1", "timerfd_create", "signalfd4", "fstat", "newfstatat", "statx", "fstatfs",
    "lseek", "rt_sigaction", "sigaltstack", "seccomp",
    // Running it.
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "fsync",
    "fdatasync", "sync_file_range", "fallocate", "close", "sendmsg", "recvmsg", "sendto", "recvfrom", "shutdown",
    "getsockopt", "poll", "ppoll", "epoll_ctl", "epoll_wait", "epoll_pwait", "timerfd_settime", "clock_gettime",
    "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "restart_syscall", "munmap", "mremap", "brk",
    "futex", "gettid", "getpid", "sched_yield", "rt_sigprocmask", "rt_sigreturn", "tgkill", "getrandom", "exit",
    "exit_group"};

// Where it serves directories, besides. Each thread but one gives them up (jail.h).
constexpr const char* kForShares[] = {"openat",      "getxattr",   "setxattr",        "fsetxattr", "listxattr",
                                      "removexattr", "getdents64", "unlinkat",        "mkdirat",   "renameat",
                                      "renameat2",   "truncate",   "utimensat",       "chmod",     "fchownat",
                                      "symlinkat",   "linkat",     "copy_file_range", "syncfs",    "capset"};

// The C library tries these and has another way.
constexpr SeccompPolicy::Refused kRefused[] = {
    {"clone3", ENOSYS},  // its flags are out of the filter's sight; the C library falls back to clone
    {"open", ENOENT},    // tables and settings of the system that a static program may look for
    {"access", ENOENT}, {"faccessat", ENOENT}, {"membarrier", ENOSYS}, {"get_mempolicy", EPERM}, {"sysinfo", EPERM},
};

constexpr uint64_t kPrctlOptions[] = {PR_SET_NAME,    PR_SET_TIMERSLACK, PR_GET_NO_NEW_PRIVS, PR_SET_NO_NEW_PRIVS,
                                      PR_SET_SECCOMP, PR_GET_SECCOMP,    PR_SET_DUMPABLE,     PR_SET_THP_DISABLE};

constexpr uint64_t kAdvice[] = {MADV_NORMAL,     MADV_RANDOM,   MADV_SEQUENTIAL,    MADV_WILLNEED,
                                MADV_DONTNEED,   MADV_FREE,     MADV_DONTFORK,      MADV_HUGEPAGE,
                                MADV_NOHUGEPAGE, MADV_DONTDUMP, MADV_POPULATE_READ, MADV_POPULATE_WRITE};

}  // namespace

SeccompPolicy system_call_policy(Shares shares) {
  constexpr uint64_t kWhole = ~uint64_t{0}, kLow = 0xffffffff;
  SeccompPolicy policy;
  policy.frequent = {"ioctl", "read", "write", "epoll_wait", "futex"};
  policy.allowed.assign(std::begin(kAllowed), std::end(kAllowed));
  policy.refused.assign(std::begin(kRefused), std::end(kRefused));
  if (shares == Shares::some) {
    policy.allowed.insert(policy.allowed.end(), std::begin(kForShares), std::end(kForShares));
    policy.shapes.push_back({"unshare", 0, kWhole, CLONE_FILES});
    for (int command : {F_DUPFD_CLOEXEC, F_OFD_SETLKW})
      policy.shapes.push_back({"fcntl", 1, kLow, static_cast<uint64_t>(command)});
  } else {
    policy.refused.push_back({"openat", ENOENT});
  }
  // Every request of KVM, by the letter they share: making the machine takes dozens. A thread of it keeps seven.
  policy.shapes.push_back({"ioctl", 1, 0xff00, KVMIO << 8});
  for (uint64_t request : {uint64_t{FIONBIO}, uint64_t{FIONREAD}, uint64_t{TCGETS}})
    policy.shapes.push_back({"ioctl", 1, kLow, request});
  // Threads of this process, not processes.
  policy.shapes.push_back({"clone", 0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM});
  // Nothing that can be executed but the program itself, which the kernel mapped.
  policy.shapes.push_back({"mmap", 2, PROT_EXEC, 0});
  policy.shapes.push_back({"mprotect", 2, PROT_EXEC, 0});
  // Limits may be read, not set.
  policy.shapes.push_back({"prlimit64", 2, kWhole, 0});
  for (uint64_t option : kPrctlOptions) policy.shapes.push_back({"prctl", 0, kWhole, option});
  for (uint64_t advice : kAdvice) policy.shapes.push_back({"madvise", 2, kLow, advice});
  for (uint64_t command : {F_GETFL, F_SETFL, F_GETFD, F_SETFD}) policy.shapes.push_back({"fcntl", 1, kLow, command});
  return policy;
}

}  // namespace msb::kvm
