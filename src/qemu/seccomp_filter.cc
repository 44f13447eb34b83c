#include "qemu/seccomp_filter.h"

#include <linux/sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/fd.h"

namespace msb::qemu {
namespace {

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
struct Refused {
  const char* name;
  int error;
};
constexpr Refused kRefused[] = {
    {"clone3", ENOSYS},  // its flags are out of the filter's sight; the C library falls back to clone
    {"io_uring_setup", ENOSYS},
    {"memfd_create", ENOSYS},
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

struct Release {
  void operator()(void* context) const { ::seccomp_release(context); }
};

// Adds a rule; a name this architecture does not have (open on arm64) is skipped.
int add(scmp_filter_ctx context, uint32_t action, const char* name,
        std::initializer_list<scmp_arg_cmp> arguments = {}) {
  int number = ::seccomp_syscall_resolve_name(name);
  if (number == __NR_SCMP_ERROR || number < 0) return 0;
  int result =
      ::seccomp_rule_add_array(context, action, number, static_cast<unsigned>(arguments.size()), arguments.begin());
  return result == -EACCES ? 0 : result;  // the same as the default action;
}

// The four calls whose arguments matter. All values not named fall to the filter's default action.
int add_by_argument(scmp_filter_ctx context) {
  int error = 0;
  auto keep = [&](int result) { error = error ? error : result; };
  // Threads of this process, not processes.
  keep(add(context, SCMP_ACT_ALLOW, "clone",
           {scmp_arg_cmp{0, SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM}}));
  // Limits may be read, not set.
  keep(add(context, SCMP_ACT_ALLOW, "prlimit64", {scmp_arg_cmp{2, SCMP_CMP_EQ, 0, 0}}));
  for (uint64_t option : {PR_SET_NAME, PR_GET_NAME, PR_SET_TIMERSLACK, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS,
                          PR_SET_SECCOMP, PR_GET_SECCOMP, PR_CAPBSET_READ, PR_GET_DUMPABLE, PR_MCE_KILL})
    keep(add(context, SCMP_ACT_ALLOW, "prctl", {scmp_arg_cmp{0, SCMP_CMP_EQ, option, 0}}));
  // TCGETS, FIONREAD, FIONBIO: is this a terminal, how much is there, do not block. Drivers see no other request.
  for (uint64_t request : {0x5401ull, 0x541bull, 0x5421ull})
    keep(add(context, SCMP_ACT_ALLOW, "ioctl", {scmp_arg_cmp{1, SCMP_CMP_MASKED_EQ, 0xffffffffull, request}}));
  return error;
}

int add_whole(scmp_filter_ctx context) {
  int error = 0;
  for (const char* name : {"clone", "prlimit64", "prctl", "ioctl"})
    if (int result = add(context, SCMP_ACT_ALLOW, name)) error = result;
  return error;
}

Result<std::vector<sock_filter>> export_program(scmp_filter_ctx context) {
  Fd file(::memfd_create("seccomp", MFD_CLOEXEC));
  if (!file) return fail_errno("create a memory file");
  if (int error = ::seccomp_export_bpf(context, file.get()); error < 0)
    return fail_errno("export the seccomp filter", -error);
  if (::lseek(file.get(), 0, SEEK_SET) < 0) return fail_errno("rewind a memory file");
  MSB_TRY(Bytes bytes, read_all(file.get(), size_t{1} << 20));
  std::vector<sock_filter> program(bytes.size() / sizeof(sock_filter));
  std::memcpy(program.data(), bytes.data(), program.size() * sizeof(sock_filter));
  return program;
}

}  // namespace

std::vector<std::string> allowed_system_calls() {
  return {std::begin(kAllowed), std::end(kAllowed)};
}

namespace {

Result<std::vector<sock_filter>> build(uint32_t default_action, int (*add_special)(scmp_filter_ctx)) {
  std::unique_ptr<void, Release> context(::seccomp_init(default_action));
  if (!context) return fail(ErrorKind::internal, "libseccomp gave no filter");
  int error = 0;
  auto keep = [&](int result) { error = error ? error : result; };
  for (const char* name : kAllowed) keep(add(context.get(), SCMP_ACT_ALLOW, name));
  for (const Refused& refused : kRefused)
    keep(add(context.get(), SCMP_ACT_ERRNO(static_cast<uint32_t>(refused.error)), refused.name));
  keep(add_special(context.get()));
  if (error < 0) return fail_errno("build the seccomp filter", -error);
  return export_program(context.get());
}

}  // namespace

Result<SeccompFilter> build_seccomp_filter() {
  SeccompFilter filter;
  MSB_TRY(filter.calls, build(SCMP_ACT_KILL_PROCESS, add_whole));
  MSB_TRY(filter.arguments, build(SCMP_ACT_ERRNO(EPERM), add_by_argument));
  return filter;
}

}  // namespace msb::qemu
