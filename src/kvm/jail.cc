#include "kvm/jail.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <span>

namespace msb::kvm {
namespace {

// Arguments are judged by their low 32 bits: those looked at here are ints to the kernel, but for a protection, whose
// bits all lie there.
struct Call {
  uint32_t number;
  struct Shape {
    unsigned argument;
    uint32_t mask;
    uint32_t value;
  };
  std::vector<Shape> shapes = {};  // any will do; none: every use of the call
};

Call whole(uint32_t number) {
  return {number, {}};
}

Call with_argument(uint32_t number, unsigned argument, std::initializer_list<uint64_t> values) {
  Call call{number, {}};
  for (uint64_t value : values) call.shapes.push_back({argument, ~0u, static_cast<uint32_t>(value)});
  return call;
}

void add(std::vector<Call>& calls, std::initializer_list<uint32_t> numbers) {
  for (uint32_t number : numbers) calls.push_back(whole(number));
}

// What the C and C++ libraries do in any thread: allocate, wait, end.
void add_common(std::vector<Call>& calls) {
  add(calls, {SYS_futex, SYS_write, SYS_read, SYS_munmap, SYS_mremap, SYS_brk, SYS_sched_yield, SYS_clock_gettime,
              SYS_clock_nanosleep, SYS_gettid, SYS_getpid, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack,
              SYS_restart_syscall, SYS_close, SYS_exit, SYS_exit_group});
  constexpr uint32_t kNeitherReadNorWrite = ~static_cast<uint32_t>(PROT_READ | PROT_WRITE);
  for (uint32_t number : {SYS_mmap, SYS_mprotect}) calls.push_back({number, {{2, kNeitherReadNorWrite, 0}}});
  // Returning memory. None of these reaches another process or fixes a page.
  calls.push_back(with_argument(SYS_madvise, 2, {MADV_DONTNEED, MADV_FREE, MADV_HUGEPAGE, MADV_NOHUGEPAGE}));
  // Kicking a processor out of its guest, and abort().
  calls.push_back(with_argument(SYS_tgkill, 0, {static_cast<uint64_t>(::getpid())}));
}

std::vector<Call> calls_of(ThreadRole role) {
  std::vector<Call> calls;  // the most frequent first
  switch (role) {
    case ThreadRole::vcpu:
      calls.push_back(with_argument(SYS_ioctl, 1,
                                    {KVM_RUN, KVM_GET_REGS, KVM_GET_SREGS, KVM_GET_VCPU_EVENTS, KVM_GET_MP_STATE,
                                     KVM_GET_DEBUGREGS, KVM_KVMCLOCK_CTRL, KVM_IRQ_LINE}));
      break;
    case ThreadRole::device:
      add(calls,
          {SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_ctl, SYS_readv, SYS_writev, SYS_recvfrom, SYS_sendto, SYS_recvmsg,
           SYS_sendmsg, SYS_shutdown, SYS_timerfd_settime, SYS_timerfd_create, SYS_eventfd2, SYS_getrandom});
      add(calls, {SYS_preadv2});  // reads of disks that need not wait
      calls.push_back(with_argument(SYS_fcntl, 1, {F_GETFL, F_SETFL}));
      calls.push_back(with_argument(SYS_ioctl, 1, {KVM_GET_CLOCK, KVM_SET_CLOCK, KVM_IRQ_LINE}));
      break;
    case ThreadRole::disk:
      calls.push_back(with_argument(SYS_ioctl, 1, {KVM_IRQ_LINE}));
      add(calls, {SYS_pread64, SYS_pwrite64, SYS_preadv, SYS_pwritev, SYS_preadv2, SYS_pwritev2, SYS_fdatasync,
                  SYS_fsync, SYS_fallocate, SYS_ftruncate, SYS_lseek, SYS_fstat, SYS_sync_file_range, SYS_getrandom});
      break;
    case ThreadRole::share:
      calls.push_back(with_argument(SYS_ioctl, 1, {KVM_IRQ_LINE}));
      // What fs::ShareServer does, and waiting for the guest. Names lead nowhere else: see jail.h.
      add(calls, {SYS_openat,    SYS_newfstatat, SYS_epoll_wait, SYS_epoll_pwait, SYS_preadv,     SYS_pwritev,
                  SYS_getxattr,  SYS_getdents64, SYS_fstat,      SYS_lseek,       SYS_readlinkat, SYS_unlinkat,
                  SYS_mkdirat,   SYS_renameat,   SYS_renameat2,  SYS_ftruncate,   SYS_truncate,   SYS_utimensat,
                  SYS_chmod,     SYS_fchownat,   SYS_setxattr,   SYS_fsetxattr,   SYS_listxattr,  SYS_removexattr,
                  SYS_symlinkat, SYS_linkat,     SYS_fallocate,  SYS_fsync,       SYS_fdatasync,  SYS_copy_file_range,
                  SYS_fstatfs,   SYS_syncfs,     SYS_epoll_ctl,  SYS_getrandom,   SYS_pwritev2});
      calls.push_back(with_argument(SYS_fcntl, 1, {F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_OFD_SETLKW}));
      break;
  }
  add_common(calls);
  return calls;
}

constexpr uint32_t field(size_t offset) {
  return static_cast<uint32_t>(offset);
}
sock_filter load(uint32_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset);
}
sock_filter verdict(uint32_t action) {
  return BPF_STMT(BPF_RET | BPF_K, action);
}
// Goes on when equal, else skips.
sock_filter unless_equal_skip(uint32_t value, size_t count) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, static_cast<uint8_t>(count));
}

void append(std::vector<sock_filter>& program, const Call& call) {
  if (call.shapes.empty()) {
    program.push_back(unless_equal_skip(call.number, 1));
    program.push_back(verdict(SECCOMP_RET_ALLOW));
    return;
  }
  constexpr size_t kPerShape = 4;
  program.push_back(unless_equal_skip(call.number, call.shapes.size() * kPerShape + 1));
  for (const auto& shape : call.shapes) {
    // Little-endian: the low half lies first.
    program.push_back(load(field(offsetof(seccomp_data, args)) + shape.argument * 8));
    program.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, shape.mask));
    program.push_back(unless_equal_skip(shape.value, 1));
    program.push_back(verdict(SECCOMP_RET_ALLOW));
  }
  program.push_back(verdict(SECCOMP_RET_KILL_PROCESS));
}

}  // namespace

std::vector<sock_filter> jail_filter(ThreadRole role) {
  std::vector<sock_filter> program;
  program.push_back(load(field(offsetof(seccomp_data, arch))));
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
  program.push_back(verdict(SECCOMP_RET_KILL_PROCESS));
  // The numbers of the x32 interface have a bit that no number here has: they match nothing.
  program.push_back(load(field(offsetof(seccomp_data, nr))));
  for (const Call& call : calls_of(role)) append(program, call);
  program.push_back(verdict(SECCOMP_RET_KILL_PROCESS));
  return program;
}

Result<> keep_own_descriptors(const std::vector<int>& wanted) {
  if (::unshare(CLONE_FILES) < 0) return fail_errno("give a thread descriptors of its own");
  std::unique_ptr<DIR, int (*)(DIR*)> links(::opendir("."), &::closedir);
  if (!links) return fail_errno("list the descriptors");
  std::vector<int> unwanted;
  while (const dirent* link = ::readdir(links.get())) {
    const char* end = link->d_name + std::strlen(link->d_name);
    int fd = -1;
    if (std::from_chars(link->d_name, end, fd).ptr != end || fd <= STDERR_FILENO) continue;
    struct stat status{};
    if (::fstat(fd, &status) < 0 || std::ranges::count(wanted, fd) > 0) continue;
    // Events and the like, which have no type, can only be used; a directory is a share.
    if ((status.st_mode & S_IFMT) != 0 && !S_ISDIR(status.st_mode)) unwanted.push_back(fd);
  }
  for (int fd : unwanted) ::close(fd);
  return {};
}

namespace {

Result<> drop_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct now[2] = {}, none[2] = {};
  if (::syscall(SYS_capget, &header, now) < 0) return fail_errno("read a thread's capabilities");
  if ((now[0].permitted | now[1].permitted) == 0) return {};
  // Whoever has none may load a filter only with this; in the fence it is so already.
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return fail_errno("renounce new privileges");
  if (::syscall(SYS_capset, &header, none) < 0) return fail_errno("drop a thread's capabilities");
  return {};
}

}  // namespace

Result<> enter_jail(ThreadRole role) {
  if (role != ThreadRole::share) MSB_CHECK(drop_capabilities());
  std::vector<sock_filter> filter = jail_filter(role);
  sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
    return fail_errno("load a thread's seccomp filter");
  return {};
}

}  // namespace msb::kvm
