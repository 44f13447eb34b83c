// The walls round the thread that serves shares.
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vector>

#include "fence/self_restraint.h"
#include "vmm/shares.h"

namespace msb::vmm {
namespace {

using fence::PathGrant;
using fence::SeccompPolicy;

constexpr const char* kAllowed[] = {
    // The host's files, by descriptors the server holds: where they may lead is Landlock's affair.
    "open", "openat", "close", "read", "write", "pread64", "pwrite64", "preadv", "pwritev", "pwritev2", "writev",
    "lseek", "fstat", "stat", "lstat", "newfstatat", "statx", "statfs", "fstatfs", "readlink", "readlinkat",
    "getdents64", "ftruncate", "fallocate", "copy_file_range", "fsync", "fdatasync", "syncfs", "chmod", "fchmodat",
    "fchownat", "utimensat", "mkdirat", "symlinkat", "linkat", "unlinkat", "renameat", "renameat2", "truncate",
    "getxattr", "setxattr", "fsetxattr", "listxattr", "removexattr", "fcntl",
    // Queues and what wakes the thread.
    "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2", "clock_gettime", "restart_syscall",
    // Memory, and the end of the thread or the process.
    "mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "futex", "set_robust_list", "rseq", "sigaltstack",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "gettid", "getpid", "sched_yield", "sched_getaffinity", "exit",
    "exit_group", "getrandom"};

// Root's thread writes what root owns, whoever owns the files; nothing else of what root may do is left to it.
Result<> drop_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct held[2]{};
  if (::syscall(SYS_capget, &header, held) < 0) return fail_errno("look at a thread's capabilities");
  constexpr uint32_t kKept = 1 << CAP_CHOWN | 1 << CAP_DAC_OVERRIDE | 1 << CAP_FOWNER;
  const uint32_t kept = held[0].permitted & kKept;
  __user_cap_data_struct few[2]{{kept, kept, 0}, {0, 0, 0}};
  if (::syscall(SYS_capset, &header, few) < 0) return fail_errno("drop a thread's capabilities");
  return {};
}

}  // namespace

SeccompPolicy share_system_calls() {
  SeccompPolicy policy;
  policy.allowed.assign(std::begin(kAllowed), std::end(kAllowed));
  policy.shapes = {{"tgkill", 0, 0xffffffff, static_cast<uint32_t>(::getpid())}};  // abort()
  policy.frequent = {"epoll_wait", "openat", "newfstatat", "write", "read", "close"};
  return policy;
}

Result<fence::WallReports> restrain_share_thread(const std::vector<fs::Share>& shares) {
  using Access = PathGrant::Access;
  MSB_TRY(auto filter, fence::build_seccomp_filter(share_system_calls()));
  // By descriptor: the path may lead elsewhere by now.
  std::vector<Fd> files;
  std::vector<PathGrant> grants;
  for (const auto& share : shares) {
    const bool writes = share.options.writable == fs::Writable::yes;
    int at = share.root.get();
    if (!share.options.only.empty()) {
      MSB_TRY(Fd file, open_at(at, share.options.only, O_PATH | O_NOFOLLOW));
      at = files.emplace_back(std::move(file)).get();
      grants.push_back({cat("/proc/self/fd/", at), writes ? Access::modify : Access::read});
    } else {
      grants.push_back({cat("/proc/self/fd/", at), writes ? Access::serve : Access::browse});
    }
  }
  fence::WallReports reports;
  MSB_TRY(auto paths, fence::restrict_paths(grants));
  reports.push_back(std::move(paths));
  MSB_CHECK(drop_capabilities());
  MSB_TRY(auto calls, fence::restrict_calls(filter));
  reports.push_back(std::move(calls));
  return reports;
}

}  // namespace msb::vmm
